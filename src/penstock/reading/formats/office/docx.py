"""DOCX: Word documents, as they are read: tables where they stand, notes and comments after their paragraph, headers
and footers once, the numbers of lists and headings before their text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from itertools import chain

from penstock.domain.errors import Unreadable
from penstock.reading.format import Format, Look, Match
from penstock.reading.formats.office.numbering import Numbering
from penstock.reading.formats.office.ooxml import Document, document
from penstock.reading.formats.office.ooxml import match as match_folder
from penstock.reading.formats.office.styles import Styles, level_of, styles_in
from penstock.reading.kinds import DOCX
from penstock.reading.parts import within
from penstock.reading.protocol import Opened, Read, Text
from penstock.reading.source import Source
from penstock.reading.text.flow import Flow
from penstock.reading.text.xml_stream import Element, number_in

_TITLE = DOCX.title
_SKIPPED = frozenset({"Fallback", "moveFrom", "pPrChange", "rPrChange", "instrText", "delText", "del"})
"""What is not shown, or is shown by what stands beside it."""
_GONE = frozenset({"del", "moveFrom"})
_NOTES = {"footnoteReference": "footnotes", "endnoteReference": "endnotes", "commentReference": "comments"}
_TAKEN = frozenset({
    "p", "r", "t", "tbl", "tr", "tc", "tab", "ptab", "br", "cr", "noBreakHyphen", "pStyle", "numId", "ilvl",
    "outlineLvl", "framePr", "chart", "relIds", *_NOTES,
})  # fmt: skip
"""All else that is there says how it looks."""
_DEEPEST = 9


def match(look: Look) -> Match:
    return match_folder(look, "word/")


def read(source: Source) -> Iterator[Read]:
    with document(source, _TITLE) as found:
        yield Opened("docx", "expat", paged=False)
        flow = Flow()
        for text in _margins(found, "header"):
            flow.block(text)
        story = _Story(flow, _styles(found), _notes(found), _counted(found), partial(found.drawn, found.main, flow))
        try:
            for element in found.elements(found.checked()):
                story.take(element)
                yield from flow.full()
                if element[1] == "altChunk" and element[0] == "start":
                    yield from _imported(source, found, element[2].get("id"), flow)
        except Unreadable as error:
            yield from flow.rest()
            yield Text(flow.number, "", problem=str(error.facts["why"]))
            return
        story.finish()
        found.drawn(found.main, flow)
        for text in _margins(found, "footer"):
            flow.block(text)
        yield from flow.rest()
        yield from found.warnings()


def _imported(source: Source, found: Document, chunk: str | None, flow: Flow) -> Iterator[Read]:
    """Another document, that Word puts in the place of its mention when it opens this one: HTML, RTF, DOCX …"""
    for relation in found.related(found.main, "aFChunk"):
        if relation.id == chunk:
            for frame in within(source.part(found.read(relation.target), relation.target), flow.number):
                if isinstance(frame, Text) and frame.problem is None:
                    flow.block(frame.text)
                    yield from flow.full()
                else:
                    yield frame
                    flow.follow(frame)


class _Story:
    """One run of text: the document itself, or a note."""

    def __init__(
        self,
        flow: Flow,
        styles: Styles | None = None,
        notes: Mapping[tuple[str, str], str] | None = None,
        numbering: Callable[[], Numbering] | None = None,
        draw: Callable[[str], None] | None = None,
    ) -> None:
        """`numbering`: asked for only where something is numbered. `draw`: tells what a diagram or a chart says."""
        self._flow, self._styles, self._notes = flow, styles or Styles(), notes or {}
        self._numbering, self._draw = numbering, draw
        self._paragraphs: list[_Paragraph] = []
        """Those that are open: a text box has its own within another."""
        self._skipped = 0
        self._runs = 0
        self._shown = False
        """Whether text is what a reader sees, and no property."""
        self._initial = ""
        """The large first letter of the next paragraph, which is one of its own in the file."""

    def take(self, element: Element) -> None:
        event, name, given = element
        if event == "text":
            if self._shown and not self._skipped and self._paragraphs:
                self._paragraphs[-1].text.append(name)
        elif name in _SKIPPED:
            self._skipped += 1 if event == "start" else -1
            if name in _GONE and self._paragraphs:
                self._paragraphs[-1].gone = True
        elif self._skipped or name not in _TAKEN:
            return
        elif event == "start":
            self._start(name, given)
        else:
            self._end(name)

    def finish(self) -> None:
        self._flow.block(self._initial)

    def _start(self, name: str, given: Mapping[str, str]) -> None:
        match name:
            case "p":
                self._paragraphs.append(_Paragraph())
            case "t":
                self._shown = True
            case "r":
                self._runs += 1
            case "tbl":
                self._flow.open_table()
            case "tc":
                self._flow.open_cell()
            case _ if self._paragraphs:
                self._within(self._paragraphs[-1], name, given)

    def _within(self, paragraph: _Paragraph, name: str, given: Mapping[str, str]) -> None:
        match name:
            case "tab" | "ptab" if self._runs:
                paragraph.text.append("\t")
            case "br" | "cr" if self._runs:
                paragraph.text.append("\n")
            case "noBreakHyphen":
                paragraph.text.append("-")
            case "chart" | "relIds":
                paragraph.drawn.append(given.get("dm") or given.get("id", ""))
            case _ if name in _NOTES:
                if note := self._notes.get((_NOTES[name], given.get("id", ""))):
                    paragraph.notes.append(note)
            case _:
                self._property(paragraph, name, given)

    def _property(self, paragraph: _Paragraph, name: str, given: Mapping[str, str]) -> None:
        match name:
            case "pStyle":
                paragraph.style = given.get("val", "")
                paragraph.level = self._styles.levels.get(paragraph.style, paragraph.level)
            case "numId":
                paragraph.list = given.get("val", "")
            case "ilvl":
                paragraph.place = given.get("val", "")
            case "outlineLvl":
                paragraph.level = level_of(number_in(given.get("val"), _DEEPEST))
            case "framePr" if given.get("dropCap", "none") != "none":
                paragraph.initial = True

    def _end(self, name: str) -> None:
        match name:
            case "t":
                self._shown = False
            case "r":
                self._runs -= 1
            case "p" if self._paragraphs:
                self._close(self._paragraphs.pop())
            case "tc":
                self._flow.close_cell()
            case "tr":
                self._flow.close_row()
            case "tbl":
                self._flow.close_table()

    def _close(self, paragraph: _Paragraph) -> None:
        text, self._initial = self._initial + "".join(paragraph.text), ""
        shown = bool(text) and not text.isspace()
        if (shown or not paragraph.gone) and (number := self._number(paragraph)) and shown:
            text = f"{number} {text}"
        if paragraph.initial:
            self._initial = text
        elif paragraph.level:
            self._flow.heading(paragraph.level, text)
        else:
            self._flow.block(text)
        if self._draw is not None:
            for each in paragraph.drawn:
                self._draw(each)
        for note in paragraph.notes:
            self._flow.block(note)

    def _number(self, paragraph: _Paragraph) -> str:
        """What stands before its text, where it is numbered."""
        counted, place = self._styles.numbers.get(paragraph.style, ("", ""))
        counted, place = paragraph.list or counted, paragraph.place or place
        if not counted or self._numbering is None:
            return ""
        numbering = self._numbering()
        level = number_in(place) if place else numbering.level_of(counted, paragraph.style)
        return numbering.next(counted, min(level, _DEEPEST))


class _Paragraph:
    """One that is being read."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.style = ""
        self.list = self.place = ""
        """By which it is numbered, and the level in it; nothing where its style says."""
        self.level = 0
        """Of a heading, from 1."""
        self.gone = False
        """Whether some of it was deleted: if all was, it does not count."""
        self.initial = False
        """Whether it is the large first letter of the next."""
        self.notes: list[str] = []
        self.drawn: list[str] = []
        """Relations by which it shows diagrams and charts."""


def _styles(found: Document) -> Styles:
    parts = found.related(found.main, "styles")
    return styles_in(chain.from_iterable(found.beside(each.target) for each in parts))


def _counted(found: Document) -> Callable[[], Numbering]:
    """The numbering of a document, read when it is first asked for."""

    @cache
    def numbering() -> Numbering:
        parts = found.related(found.main, "numbering")
        return Numbering(chain.from_iterable(found.beside(each.target) for each in parts))

    return numbering


def _notes(found: Document) -> dict[tuple[str, str], str]:
    """Footnotes, endnotes and comments, by what they are and their id."""
    notes: dict[tuple[str, str], str] = {}
    for relation in found.related(found.main, *_NOTES.values()):
        key, flow = None, Flow()
        story = _Story(flow)
        for event, name, given in found.beside(relation.target):
            if event == "start" and name in {"footnote", "endnote", "comment"}:
                key = None if given.get("type", "normal") != "normal" else (relation.kind, given.get("id", ""))
                flow = Flow()
                story = _Story(flow)
            elif event == "end" and name in {"footnote", "endnote", "comment"}:
                if key is not None:
                    notes[key] = "\n".join(part.text.strip() for part in flow.rest())
            else:
                story.take((event, name, given))
    return notes


def _margins(found: Document, kind: str) -> Iterator[str]:
    """Headers or footers: each that says something else than the others once."""
    said = set()
    for relation in found.related(found.main, kind):
        flow = Flow()
        story = _Story(flow)
        for element in found.beside(relation.target):
            story.take(element)
        text = "\n".join(part.text.strip() for part in flow.rest())
        if text and text not in said:
            said.add(text)
            yield text


FORMAT = Format(DOCX, match=match, read=read)
