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
    """A page, or the next part of a format without pages. `sections`: offset into the text, and headings. A page may
    come in several, one after the other, under one number."""

    number: int
    text: str
    sections: tuple[tuple[int, tuple[str, ...]], ...] = ()
    problem: str | None = None
    frame: Literal["text"] = "text"


@dataclass(frozen=True, slots=True)
class Scan:
    """A page without text, as a picture: sent where text recognition was asked for, in the place of its Text."""

    number: int
    width: int
    height: int
    pixels: str
    """A byte each, in base64: a form that nobody can be hurt by decoding."""
    frame: Literal["scan"] = "scan"


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


Read = Opened | Text | Scan | Warned
"""What a format's module yields."""
Frame = Read | Done | Failed


def parse(body: bytes) -> Frame | None:
    """None where it is no frame: what the child says is not trusted, as the file may have taken it over."""
    try:
        told = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    found: Frame | None = None
    match told:
        case {"frame": "text", "number": int(number), "text": str(text), "sections": list(sections), "problem": why}:
            if all(map(_is_section, sections)) and isinstance(why, str | None):
                found = Text(number, text, tuple((offset, tuple(path)) for offset, path in sections), why)
        case {
            "frame": "opened",
            "kind": str(kind),
            "engine": str(engine),
            "paged": bool(paged),
            "pages": int(pages),
            "seeks": bool(seeks),
        }:
            found = Opened(kind, engine, paged, pages, seeks)
        case {
            "frame": "scan",
            "number": int(number),
            "width": int(width),
            "height": int(height),
            "pixels": str(pixels),
        }:
            found = Scan(number, width, height, pixels)
        case {"frame": "warned", "text": str(text)}:
            found = Warned(text)
        case {"frame": "failed", "code": str(code), "facts": dict(facts)}:
            found = Failed(code, facts)
        case {"frame": "done"}:
            found = Done()
    return found


def _is_section(value: object) -> bool:
    match value:
        case [int(), list(path)]:
            return all(isinstance(heading, str) for heading in path)
    return False


def write(stream: BinaryIO, frame: Frame) -> None:
    body = orjson.dumps(frame)
    stream.write(len(body).to_bytes(LENGTH_BYTES) + body)
