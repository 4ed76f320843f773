"""The frames that the child process sends to its parent: each is a length and a JSON object. This module is light, so
that the child starts fast."""

from __future__ import annotations

from collections.abc import Mapping
from typing import BinaryIO

import msgspec

LENGTH_BYTES = 4
"""The size of the big-endian length that stands before each frame, in bytes."""
PART = 200_000
"""The number of characters at which a text without pages is cut into a next part."""
LONGEST_PAGE = 10_000_000
"""The maximum number of characters taken from one page; a page with more says so in its problem."""
LONGEST_FRAME = 8 * LONGEST_PAGE
"""The maximum size of a frame, in bytes. The parent refuses a longer one."""


class _Frame(msgspec.Struct, frozen=True, tag_field="frame", tag=str.lower):
    """A frame. Its JSON field `frame` names its type."""


class Opened(_Frame, frozen=True):
    """The first frame of a file. `pages` is 0 if the format does not state how many there are; `seeks` says whether
    reading may start at a later page."""

    kind: str
    engine: str
    paged: bool
    pages: int = 0
    seeks: bool = False


class Text(_Frame, frozen=True):
    """A page, or the next part of a format without pages. A section is an offset into the text and the path of
    headings that holds from there. A long page may come in several frames with the same number."""

    number: int
    text: str
    sections: tuple[tuple[int, tuple[str, ...]], ...] = ()
    problem: str | None = None


class Scan(_Frame, frozen=True):
    """A page without text, as a picture. It is sent instead of a Text if text recognition was requested."""

    number: int
    width: int
    height: int
    pixels: bytes
    """One byte for each pixel, in JSON as base64. Decoding this form is safe, which a compressed picture's is not."""


class Contained(_Frame, frozen=True):
    """A file of an archive whose files become documents of their own. Pieces with `size` bytes in all follow it."""

    number: int
    path: tuple[str, ...]
    """The names of the archives that the file lies in, from the outermost, and then its own name."""
    media_type: str
    size: int


class Piece(_Frame, frozen=True):
    """Some of the bytes of the last Contained."""

    content: bytes


class Warned(_Frame, frozen=True):
    """A remark about the file that its owner may want to know."""

    text: str


class Done(_Frame, frozen=True):
    """The last frame, if all went well. `peak` is the maximum number of bytes that were resident in the child process
    during its whole life."""

    peak: int = 0


class Failed(_Frame, frozen=True):
    """The last frame, if the file could not be read: the code and the facts of a Permanent error. `peak` is as in
    Done."""

    code: str
    facts: Mapping[str, str | int | float]
    peak: int = 0


Read = Opened | Text | Scan | Contained | Piece | Warned
"""The frames that the module of a format yields."""
Frame = Read | Done | Failed


def write(stream: BinaryIO, frame: Frame) -> None:
    body = msgspec.json.encode(frame)
    stream.write(len(body).to_bytes(LENGTH_BYTES) + body)
