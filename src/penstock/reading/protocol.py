"""Frames: what the child tells its parent, each a length and a JSON object. Light, so that the child starts fast."""

from __future__ import annotations

from collections.abc import Mapping
from typing import BinaryIO

import msgspec

LENGTH_BYTES = 4
"""Of the big-endian length that stands before each frame."""
LONGEST_PAGE = 10_000_000
"""Characters of one page that are taken; a page with more says so in its problem."""
LONGEST_FRAME = 8 * LONGEST_PAGE
"""Bytes. A longer frame is none of ours."""


class _Frame(msgspec.Struct, frozen=True, tag_field="frame", tag=str.lower):
    """In JSON its field `frame` says which it is."""


class Opened(_Frame, frozen=True):
    """Comes first. `pages` is 0 where the format does not say."""

    kind: str
    engine: str
    paged: bool
    pages: int = 0
    seeks: bool = False


class Text(_Frame, frozen=True):
    """A page, or the next part of a format without pages. `sections`: offset into the text, and headings. A page may
    come in several, one after the other, under one number."""

    number: int
    text: str
    sections: tuple[tuple[int, tuple[str, ...]], ...] = ()
    problem: str | None = None


class Scan(_Frame, frozen=True):
    """A page without text, as a picture: sent where text recognition was asked for, in the place of its Text."""

    number: int
    width: int
    height: int
    pixels: bytes
    """A byte each; base64 in JSON: a form that nobody can be hurt by decoding."""


class Contained(_Frame, frozen=True):
    """A file in an archive that is taken apart; Pieces of so many bytes in all follow it."""

    number: int
    path: tuple[str, ...]
    """Its name, behind those of the archives that it lies in."""
    media_type: str
    size: int


class Piece(_Frame, frozen=True):
    """Some of the bytes of what was named last."""

    content: bytes


class Warned(_Frame, frozen=True):
    """Something about the file that its owner may want to know."""

    text: str


class Done(_Frame, frozen=True):
    """Comes last, if all went well. `peak`: the most bytes that were resident, of all that the child has read."""

    peak: int = 0


class Failed(_Frame, frozen=True):
    """Comes last, if the file could not be read: the code and the facts of a Permanent error."""

    code: str
    facts: Mapping[str, str | int | float]
    peak: int = 0


Read = Opened | Text | Scan | Contained | Piece | Warned
"""What a format's module yields."""
Frame = Read | Done | Failed


def write(stream: BinaryIO, frame: Frame) -> None:
    body = msgspec.json.encode(frame)
    stream.write(len(body).to_bytes(LENGTH_BYTES) + body)
