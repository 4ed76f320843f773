"""Frames: what the child tells its parent, each a length and a JSON object. Light, so that the child starts fast."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO, Literal

import orjson

LENGTH_BYTES = 4
"""Of the big-endian length that stands before each frame."""
LONGEST_PAGE = 10_000_000
"""Characters of one page that are taken; a page with more says so in its problem."""
LONGEST_FRAME = 8 * LONGEST_PAGE
"""Bytes. A longer frame is none of ours."""


@dataclass(frozen=True, slots=True)
class Opened:
    """Comes first. `pages` is 0 where the format does not say."""

    kind: str
    engine: str
    paged: bool
    pages: int = 0
    seeks: bool = False
    frame: Literal["opened"] = "opened"


@dataclass(frozen=True, slots=True)
class Text:
    """A page, or the next part of a format without pages. `sections`: offset into the text, and headings."""

    number: int
    text: str
    sections: tuple[tuple[int, tuple[str, ...]], ...] = ()
    problem: str | None = None
    frame: Literal["text"] = "text"


@dataclass(frozen=True, slots=True)
class Warned:
    """Something about the file that its owner may want to know."""

    text: str
    frame: Literal["warned"] = "warned"


@dataclass(frozen=True, slots=True)
class Done:
    """Comes last, if all went well."""

    frame: Literal["done"] = "done"


@dataclass(frozen=True, slots=True)
class Failed:
    """Comes last, if the file could not be read: the code and the facts of a Permanent error."""

    code: str
    facts: Mapping[str, str | int | float]
    frame: Literal["failed"] = "failed"


Read = Opened | Text | Warned
"""What a format's module yields."""
Frame = Read | Done | Failed


def write(stream: BinaryIO, frame: Frame) -> None:
    body = orjson.dumps(frame)
    stream.write(len(body).to_bytes(LENGTH_BYTES) + body)
    stream.flush()
