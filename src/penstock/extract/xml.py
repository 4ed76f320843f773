"""XML of any vocabulary: the text of its elements, and what their attributes say, in their order."""

from __future__ import annotations

import re
from collections.abc import Iterator

from penstock.errors import Unreadable
from penstock.extract.flow import Flow
from penstock.extract.format import Format, Look, Match
from penstock.extract.frames import Opened, Read, Text
from penstock.extract.kinds import XML
from penstock.extract.markup import elements
from penstock.extract.source import Source

_TITLE = XML.title
_DECLARED = re.compile(rb"^(?:\xef\xbb\xbf)?\s*<\?xml\s")
_ROOT = re.compile(rb"^(?:\xef\xbb\xbf)?\s*<(?:[A-Za-z_]|!DOCTYPE|!--)")
_WIDE = (b"\xff\xfe<\0?\0x\0m\0l\0", b"\xfe\xff\0<\0?\0x\0m\0l")
_INLINE = frozenset({
    "a", "abbr", "b", "bold", "citetitle", "code", "em", "emphasis", "ext-link", "filename", "hi", "i", "italic",
    "link", "literal", "note-ref", "ph", "q", "ref", "s", "span", "strong", "sub", "subscript", "sup", "superscript",
    "tt", "u", "ulink", "underline", "xref",
})  # fmt: skip
"""Elements of common vocabularies that stand within a line."""


def match(look: Look) -> Match:
    if _DECLARED.match(look.head) or look.head.startswith(_WIDE):
        return Match.CERTAIN
    return Match.PERHAPS if _ROOT.match(look.head) else Match.NO


def read(source: Source) -> Iterator[Read]:
    yield Opened("xml", "expat", paged=False)
    flow = Flow()
    text: list[str] = []

    def end() -> None:
        flow.line(" ".join("".join(text).split()))
        text.clear()

    with source.open() as stream:
        try:
            for event, name, given in elements(stream, source.limits, _TITLE):
                if event == "text":
                    text.append(name)
                elif name not in _INLINE:
                    end()
                    said = (f"{key}: {value}" for key, value in given.items() if not key.startswith("xmlns"))
                    flow.line(" | ".join(said))
                yield from flow.full()
        except Unreadable as error:
            end()
            if not flow.number > 1 and not flow.written:
                raise
            yield from flow.rest()
            yield Text(flow.number, "", problem=str(error.facts["why"]))
            return
    end()
    yield from flow.rest()


FORMAT = Format(XML, match=match, read=read)
