"""Plain text of any encoding. It has no pages, and is read in parts."""

from __future__ import annotations

from collections.abc import Iterator
from io import TextIOWrapper
from typing import TextIO

from penstock.reading.format import Format, Look, Match
from penstock.reading.kinds import TEXT
from penstock.reading.protocol import PART, Opened, Read, Text, Warned
from penstock.reading.source import Source
from penstock.reading.text.byte_order import marked
from penstock.reading.text.characters import legible
from penstock.reading.text.encoding import Encoding, encoding_of

_CONTROLS = bytes(set(range(0x20)) - set(b"\t\n\v\f\r\b\x1b")) + b"\x7f"
"""The control characters that do not belong to a text."""


def match(look: Look) -> Match:
    """Text has hardly any control characters. It has no NULs either, except in UTF-16 and UTF-32."""
    head = look.head
    if marked(head):
        return Match.PERHAPS
    controls = len(head) - len(head.translate(None, _CONTROLS))
    return Match.NO if b"\0" in head or controls * 50 > len(head) else Match.PERHAPS


def read(source: Source) -> Iterator[Read]:
    encoding = encoding_of(source)
    yield Opened("text", encoding.codec, paged=False)
    yield from guess_warning(encoding)
    with open_text(source, encoding) as stream:
        for number, part in enumerate(parts(stream), 1):
            yield Text(number, part)
            if encoding.guessed and "\ufffd" in part:
                yield undecodable(number, encoding)


def open_text(source: Source, encoding: Encoding, newline: str | None = None) -> TextIO:
    return TextIOWrapper(source.open(), encoding=encoding.codec, errors="replace", newline=newline)


def guess_warning(encoding: Encoding) -> Iterator[Warned]:
    """A warning if the encoding is only a guess."""
    if encoding.guessed and encoding.codec != "utf-8":
        yield Warned(f"The text is not Unicode; it was taken for {encoding.codec}.")


def undecodable(number: int, encoding: Encoding) -> Warned:
    return Warned(f"Part {number} has bytes that are not {encoding.codec}; each is shown as U+FFFD.")


def parts(stream: TextIO) -> Iterator[str]:
    """The text in pieces of at most PART characters. A piece ends where a line does, or else where a word does."""
    rest = ""
    while block := stream.read(PART - len(rest)):
        rest += legible(block)
        if len(rest) == PART:
            end = rest.rfind("\n") + 1 or rest.rfind(" ") + 1 or PART
            yield rest[:end]
            rest = rest[end:]
    if rest:
        yield rest


FORMAT = Format(TEXT, match=match, read=read)
