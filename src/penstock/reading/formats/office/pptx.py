"""PPTX: presentations, slide by slide. A slide's title comes first, then its other text, its notes and its comments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from penstock.domain.errors import LimitHit, Permanent, Unreadable
from penstock.reading.format import Format, Look, Match
from penstock.reading.formats.office.ooxml import Document, document
from penstock.reading.formats.office.ooxml import match as match_folder
from penstock.reading.kinds import PPTX
from penstock.reading.protocol import Opened, Read, Text
from penstock.reading.source import Source
from penstock.reading.text.flow import Flow
from penstock.reading.text.xml_stream import Element

_TITLE = PPTX.title
_SHAPES = {"sp", "graphicFrame", "cxnSp"}
_TITLES = {"title", "ctrTitle"}
_MARGINS = {"dt", "hdr", "ftr"}
"""Placeholders that mostly have the same text on each slide: date, header and footer."""
_SKIPPED = {"sldNum", "sldImg"}
"""Placeholders that say nothing about the content of their slide."""


def match(look: Look) -> Match:
    return match_folder(look, "ppt/")


def read(source: Source) -> Iterator[Read]:
    with document(source, _TITLE) as found:
        slides = _slides(found)
        if not slides:
            raise Unreadable(kind=_TITLE, why="it has no slides")
        yield Opened("pptx", "expat", paged=True, pages=len(slides))
        flow, margins = Flow(paged=True), set[str]()
        for number, slide in enumerate(slides, 1):
            try:
                _write_slide(found, slide, flow, margins)
            except LimitHit:
                raise
            except Permanent as error:
                text = "\n".join(part.text for part in flow.turn())
                yield Text(number, text, problem=_why(error))
                continue
            yield from flow.turn()
        yield from found.warnings()


def _why(error: Permanent) -> str:
    return str(error.facts.get("why", error)).rstrip(".")


def _slides(found: Document) -> list[str]:
    """The names of the slides' parts, in the order of the slides."""
    return list(found.listed("sldId", ["slide"], "ppt/slides"))


def _write_slide(found: Document, part: str, flow: Flow, margins: set[str]) -> None:
    """Write a slide.

    Args:
        margins: the dates, headers and footers of the slides before, which are not written again.
    """
    if not found.has(part):
        raise Unreadable(kind=_TITLE, why=f"its part {part} is missing")
    shapes = list(_shapes(found.elements(part)))
    for kind, blocks in shapes:
        if kind in _TITLES:
            flow.heading(1, " ".join(block for block in blocks if isinstance(block, str)))
    _write_shapes(flow, shapes)
    found.write_drawings(part, flow)
    for relation in found.related(part, "notesSlide"):
        noted = list(_shapes(found.optional(relation.target)))
        _write_shapes(flow, noted)
        shapes += noted
    for relation in found.related(part, "comments"):
        for text in found.paragraphs(relation.target):
            flow.block(text)
    for block in (block for kind, blocks in shapes if kind in _MARGINS for block in blocks):
        if isinstance(block, str) and block not in margins and not block.strip().isdigit():  # the slide's number
            margins.add(block)
            flow.line(block)


_Block = str | list[str]
"""A paragraph, or the cells of a row of a table."""


def _write_shapes(flow: Flow, shapes: Iterable[tuple[str, list[_Block]]]) -> None:
    for kind, blocks in shapes:
        if kind in _TITLES | _MARGINS | _SKIPPED:
            continue
        for block in blocks:
            if isinstance(block, str):
                flow.line(block)
            else:
                flow.row(block)
        flow.close_table()  # an empty line, so that the next shape begins a paragraph


class _Shape:
    """A shape that is being read."""

    def __init__(self) -> None:
        self.kind = ""
        """The kind of its placeholder. It is empty for a shape that is none."""
        self.blocks: list[_Block] = []
        self.text: list[str] = []
        """The text of the open paragraph."""
        self.row: list[str] = []
        """The finished cells of the open row."""
        self.cell: list[str] | None = None
        """The paragraphs of the open cell. It is None outside of cells."""
        self.in_text = False
        """Whether text is what a reader sees."""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "t":
            self.in_text = True
        elif name == "ph":
            self.kind = attributes.get("type", "body")
        elif name == "br":
            self.text.append("\n")
        elif name == "tc":
            self.cell = []

    def end(self, name: str) -> None:
        if name == "t":
            self.in_text = False
        elif name == "p" and self.text:
            (self.blocks if self.cell is None else self.cell).append("".join(self.text))
            self.text = []
        elif name == "tc":
            self.row.append(" ".join(" ".join(self.cell or []).split()))
            self.cell = None
        elif name == "tr":
            self.blocks.append(self.row)
            self.row = []


def _shapes(elements: Iterable[Element]) -> Iterator[tuple[str, list[_Block]]]:
    """The shapes, each with the kind of its placeholder, which is empty if it has none, and its text."""
    shape, skipped = _Shape(), 0
    for event, name, attributes in elements:
        if name == "Fallback" and event != "text":
            skipped += 1 if event == "start" else -1
        elif skipped:
            continue
        elif name in _SHAPES and event != "text":
            if event == "end":
                yield shape.kind, shape.blocks
            shape = _Shape()
        elif event == "text":
            shape.text += [name] if shape.in_text else []
        elif event == "start":
            shape.start(name, attributes)
        else:
            shape.end(name)


FORMAT = Format(PPTX, match=match, read=read)
