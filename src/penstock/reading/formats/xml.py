"""XML of any vocabulary: the texts of its elements and the values of their attributes, in their order."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from typing import TextIO

from penstock.domain.errors import Unreadable
from penstock.reading.format import Format, Look, Match
from penstock.reading.formats.text import guess_warning, open_text
from penstock.reading.kinds import XML
from penstock.reading.protocol import Opened, Read, Text
from penstock.reading.source import Source
from penstock.reading.text.encoding import Encoding, encoding_of
from penstock.reading.text.flow import Flow
from penstock.reading.text.xml_stream import Stream, elements

_TITLE = XML.title
_DECLARATION = re.compile(rb"^\s*<\?xml\s")
_ROOT = re.compile(rb"^\s*<(?:[A-Za-z_]|!DOCTYPE|!--)")
_ENCODING = re.compile(rb"^\s*<\?xml[^>]*\sencoding\s*=\s*[\"']([\w.:-]+)")
_HEAD = 1024
"""The length of the beginning in which a file declares its encoding, in bytes."""
_MARKUP = re.compile(r"<!\[CDATA\[|\]\]>|<[^<>]*>")
_INLINE = frozenset({
    "a", "abbr", "b", "bold", "citetitle", "code", "em", "emphasis", "ext-link", "filename", "hi", "i", "italic",
    "link", "literal", "note-ref", "ph", "q", "ref", "s", "span", "strong", "sub", "subscript", "sup", "superscript",
    "tt", "u", "ulink", "underline", "xref",
})  # fmt: skip
"""Elements of common vocabularies that do not end a line of text."""


def match(look: Look) -> Match:
    if _DECLARATION.match(look.text):
        return Match.CERTAIN
    return Match.PERHAPS if _ROOT.match(look.text) else Match.NO


def read(source: Source) -> Iterator[Read]:
    yield Opened("xml", "expat", paged=False)
    with source.open() as file:
        declared = _ENCODING.match(file.read(_HEAD))
    encoding = encoding_of(source, declared[1].decode() if declared else None)
    yield from guess_warning(encoding)
    flow = Flow()
    text: list[str] = []

    def end_line() -> None:
        flow.line(" ".join("".join(text).split()))
        text.clear()

    with _in_utf8(source, encoding) as stream:
        try:
            for event, name, attributes in elements(stream, source.limits, _TITLE, "utf-8"):
                if event == "text":
                    text.append(name)
                elif name not in _INLINE:
                    end_line()
                    values = (f"{key}: {value}" for key, value in attributes.items() if not key.startswith("xmlns"))
                    flow.line(" | ".join(values))
                yield from flow.full()
        except Unreadable as error:
            end_line()
            has_more = False
            for line in _lines_after(error, source, encoding):
                has_more = has_more or bool(line)
                flow.line(line)
                yield from flow.full()
            if not flow.number > 1 and not flow.written:
                raise
            yield from flow.rest()
            follows = "; what follows was read without its markup" if has_more else ""
            yield Text(flow.number, "", problem=f"{error.facts['why']}{follows}")
            return
    end_line()
    yield from flow.rest()


@contextmanager
def _in_utf8(source: Source, encoding: Encoding) -> Iterator[Stream]:
    if encoding == Encoding("utf-8"):
        with source.open() as file:
            yield file
    else:
        with open_text(source, encoding) as text:
            yield _InUtf8(text)


class _InUtf8:
    """A text encoded in UTF-8. The parser takes every file for UTF-8, whatever it declares."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def read(self, size: int, /) -> bytes:
        return self._stream.read(size).encode(errors="replace")


def _lines_after(error: Unreadable, source: Source, encoding: Encoding) -> Iterator[str]:
    """The lines behind the place of the damage, without what looks like markup."""
    from pyexpat import ExpatError  # noqa: PLC0415 - other formats do not need it

    damage = error.__cause__
    if not isinstance(damage, ExpatError):
        return
    with open_text(source, encoding) as stream:
        for _ in range(damage.lineno - 1):
            stream.readline()
        rest = stream.read()
    opening = rest.rfind("<", 0, damage.offset)  # of the element whose tag is damaged, if a tag is
    rest = rest[damage.offset if ">" in rest[opening : damage.offset] else max(opening, 0) :]
    for line in unescape(_MARKUP.sub("\n", rest)).split("\n"):
        yield " ".join(line.split())


FORMAT = Format(XML, match=match, read=read)
