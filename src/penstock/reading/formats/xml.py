"""XML of any vocabulary: the text of its elements, and what their attributes say, in their order."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from typing import TextIO

from penstock.domain.errors import Unreadable
from penstock.reading.format import Format, Look, Match
from penstock.reading.formats.text import guessed, opened
from penstock.reading.kinds import XML
from penstock.reading.protocol import Opened, Read, Text
from penstock.reading.source import Source
from penstock.reading.text.encoding import Encoding, encoding_of
from penstock.reading.text.flow import Flow
from penstock.reading.text.xml_stream import Stream, elements

_TITLE = XML.title
_DECLARED = re.compile(rb"^\s*<\?xml\s")
_ROOT = re.compile(rb"^\s*<(?:[A-Za-z_]|!DOCTYPE|!--)")
_ENCODING = re.compile(rb"^\s*<\?xml[^>]*\sencoding\s*=\s*[\"']([\w.:-]+)")
_HEAD = 1024
"""Bytes in which it says what it is in."""
_MARKUP = re.compile(r"<!\[CDATA\[|\]\]>|<[^<>]*>")
_INLINE = frozenset({
    "a", "abbr", "b", "bold", "citetitle", "code", "em", "emphasis", "ext-link", "filename", "hi", "i", "italic",
    "link", "literal", "note-ref", "ph", "q", "ref", "s", "span", "strong", "sub", "subscript", "sup", "superscript",
    "tt", "u", "ulink", "underline", "xref",
})  # fmt: skip
"""Elements of common vocabularies that stand within a line."""


def match(look: Look) -> Match:
    if _DECLARED.match(look.text):
        return Match.CERTAIN
    return Match.PERHAPS if _ROOT.match(look.text) else Match.NO


def read(source: Source) -> Iterator[Read]:
    yield Opened("xml", "expat", paged=False)
    with source.open() as file:
        declared = _ENCODING.match(file.read(_HEAD))
    encoding = encoding_of(source, declared[1].decode() if declared else None)
    yield from guessed(encoding)
    flow = Flow()
    text: list[str] = []

    def end() -> None:
        flow.line(" ".join("".join(text).split()))
        text.clear()

    with _in_utf8(source, encoding) as stream:
        try:
            for event, name, given in elements(stream, source.limits, _TITLE, "utf-8"):
                if event == "text":
                    text.append(name)
                elif name not in _INLINE:
                    end()
                    said = (f"{key}: {value}" for key, value in given.items() if not key.startswith("xmlns"))
                    flow.line(" | ".join(said))
                yield from flow.full()
        except Unreadable as error:
            end()
            more = False
            for line in _after(error, source, encoding):
                more = more or bool(line)
                flow.line(line)
                yield from flow.full()
            if not flow.number > 1 and not flow.written:
                raise
            yield from flow.rest()
            follows = "; what follows was read without its markup" if more else ""
            yield Text(flow.number, "", problem=f"{error.facts['why']}{follows}")
            return
    end()
    yield from flow.rest()


@contextmanager
def _in_utf8(source: Source, encoding: Encoding) -> Iterator[Stream]:
    if encoding == Encoding("utf-8"):
        with source.open() as file:
            yield file
    else:
        with opened(source, encoding) as text:
            yield _InUtf8(text)


class _InUtf8:
    """A text as the bytes that the parser is told it is."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def read(self, size: int, /) -> bytes:
        return self._stream.read(size).encode(errors="replace")


def _after(error: Unreadable, source: Source, encoding: Encoding) -> Iterator[str]:
    """The lines behind the damage, without what looks like markup."""
    from pyexpat import ExpatError  # noqa: PLC0415 - other formats do not need it

    damage = error.__cause__
    if not isinstance(damage, ExpatError):
        return
    with opened(source, encoding) as stream:
        for _ in range(damage.lineno - 1):
            stream.readline()
        rest = stream.read()
    opening = rest.rfind("<", 0, damage.offset)  # of the element that it is in, if it is in one
    rest = rest[damage.offset if ">" in rest[opening : damage.offset] else max(opening, 0) :]
    for line in unescape(_MARKUP.sub("\n", rest)).split("\n"):
        yield " ".join(line.split())


FORMAT = Format(XML, match=match, read=read)
