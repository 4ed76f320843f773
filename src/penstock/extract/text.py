"""Plain text of any encoding, in parts: it has no pages."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from io import TextIOWrapper
from typing import TextIO

from penstock.extract.characters import legible
from penstock.extract.format import Format, Look, Match
from penstock.extract.frames import Opened, Read, Text, Warned
from penstock.extract.kinds import TEXT
from penstock.extract.source import Source

PART = 200_000
"""The most characters of a part."""

_BLOCK = 1 << 20
_SAMPLE = 1 << 15
"""Bytes by which an encoding is guessed, from the beginning and from where UTF-8 ends."""
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins as UTF-16's does, so it is looked for first
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_WESTERN = "cp1252"
_DOUBT = 0.1
"""Of charset-normalizer's measure of chaos: as good as equal. It names central European codecs first, where western
ones are far more common."""
_CONTROLS = bytes(set(range(0x20)) - set(b"\t\n\v\f\r\b\x1b")) + b"\x7f"


@dataclass(frozen=True, slots=True)
class Encoding:
    """A codec, and whether it is a guess: then what it cannot decode is marked by U+FFFD."""

    codec: str
    guessed: bool = False


def match(look: Look) -> Match:
    """Text has no NULs, but in UTF-16 and UTF-32, and next to no controls."""
    head = look.head
    if _by_mark(head) or _by_nulls(head):
        return Match.PERHAPS
    controls = len(head) - len(head.translate(None, _CONTROLS))
    return Match.NO if b"\0" in head or controls * 50 > len(head) else Match.PERHAPS


def read(source: Source) -> Iterator[Read]:
    encoding = encoding_of(source)
    yield Opened("text", encoding.codec, paged=False)
    yield from guessed(encoding)
    with opened(source, encoding) as stream:
        for number, part in enumerate(parts(stream), 1):
            yield Text(number, part)
            if encoding.guessed and "\ufffd" in part:
                yield undecodable(number, encoding)


def opened(source: Source, encoding: Encoding, newline: str | None = None) -> TextIO:
    return TextIOWrapper(source.open(), encoding=encoding.codec, errors="replace", newline=newline)


def guessed(encoding: Encoding) -> Iterator[Warned]:
    if encoding.guessed and encoding.codec != "utf-8":
        yield Warned(f"The text is not Unicode; it was taken for {encoding.codec}.")


def undecodable(number: int, encoding: Encoding) -> Warned:
    return Warned(f"Part {number} has bytes that are not {encoding.codec}; each is shown as U+FFFD.")


def parts(stream: TextIO) -> Iterator[str]:
    """The text in runs of at most PART characters that end with a line, else with a word, else anywhere."""
    rest = ""
    while block := stream.read(PART - len(rest)):
        rest += legible(block)
        if len(rest) == PART:
            end = rest.rfind("\n") + 1 or rest.rfind(" ") + 1 or PART
            yield rest[:end]
            rest = rest[end:]
    if rest:
        yield rest


def encoding_of(source: Source) -> Encoding:
    """By its mark; by where its NULs are; UTF-8 if all of it is; else what charset-normalizer makes of samples."""
    with source.open() as file:
        head = file.read(_SAMPLE)
        known = _by_mark(head) or _by_nulls(head)
        if known:
            return Encoding(known)
        decoder, block, position = codecs.getincrementaldecoder("utf-8")(), head, 0
        while block:
            try:
                decoder.decode(block)
            except UnicodeDecodeError as error:
                file.seek(max(0, position + error.start - _SAMPLE // 2))
                return Encoding(_guess(head, file.read(_SAMPLE)), guessed=True)
            position += len(block)
            block = file.read(_BLOCK)
    # An end in the midst of a character is a file cut short, not another encoding.
    return Encoding("utf-8", guessed=bool(decoder.getstate()[0]))


def _by_mark(head: bytes) -> str | None:
    return next((codec for mark, codec in _BOMS if head.startswith(mark)), None)


def _by_nulls(head: bytes) -> str | None:
    """UTF-16 without a mark: every other byte of European text is NUL."""
    pairs = len(head) // 2
    first, second = head[0::2].count(0), head[1::2].count(0)
    if pairs and second > 0.4 * pairs and first < 0.02 * pairs:
        return "utf-16-le"
    if pairs and first > 0.4 * pairs and second < 0.02 * pairs:
        return "utf-16-be"
    return None


def _guess(*samples: bytes) -> str:
    from charset_normalizer import from_bytes  # noqa: PLC0415 - most files never need it

    text = b"".join(samples)
    decoded = text.decode(errors="replace")
    broken, whole = decoded.count("\ufffd"), sum(character > "\x7f" for character in decoded)
    if whole > 10 * broken:
        return "utf-8"
    matches = from_bytes(text)
    best = matches.best()
    if best is None:
        return _WESTERN
    western = any(
        _WESTERN in {other.encoding, *other.could_be_from_charset} and other.chaos <= best.chaos + _DOUBT
        for other in matches
    )
    return _WESTERN if western else best.encoding


FORMAT = Format(TEXT, match=match, read=read)
