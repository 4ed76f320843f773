"""DOCX: Word documents, in the order in which they are read.

Tables are read where they stand, and notes and comments after their paragraph. Headers and footers are read once. Lists
and headings have their numbers before their text.
"""

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
"""Elements that are not read: Word does not show them, or they repeat what stands beside them."""
_DELETIONS = frozenset({"del", "moveFrom"})
_NOTES = {"footnoteReference": "footnotes", "endnoteReference": "endnotes", "commentReference": "comments"}
_TAKEN = frozenset({
    "p", "r", "t", "tbl", "tr", "tc", "tab", "ptab", "br", "cr", "noBreakHyphen", "pStyle", "numId", "ilvl",
    "outlineLvl", "framePr", "chart", "relIds", *_NOTES,
})  # fmt: skip
"""The elements that matter for the text. All others say how it looks."""
_DEEPEST = 9
"""The outline level of body text, and the deepest level of a list."""


def match(look: Look) -> Match:
    return match_folder(look, "word/")


def read(source: Source) -> Iterator[Read]:
    with document(source, _TITLE) as found:
        yield Opened("docx", "expat", paged=False)
        flow = Flow()
        for text in _margins(found, "header"):
            flow.block(text)
        story = _Story(
            flow, _styles(found), _notes(found), _numbering_of(found), partial(found.write_drawings, found.main, flow)
        )
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
        found.write_drawings(found.main, flow)
        for text in _margins(found, "footer"):
            flow.block(text)
        yield from flow.rest()
        yield from found.warnings()


def _imported(source: Source, found: Document, chunk: str | None, flow: Flow) -> Iterator[Read]:
    """Read another document, such as HTML or RTF, that Word puts in this place when it opens the document."""
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
    """Reads one run of text: the document itself, a note, or a header or footer."""

    def __init__(
        self,
        flow: Flow,
        styles: Styles | None = None,
        notes: Mapping[tuple[str, str], str] | None = None,
        numbering: Callable[[], Numbering] | None = None,
        write_drawing: Callable[[str], None] | None = None,
    ) -> None:
        """
        Args:
            notes: the texts of notes and comments, by their kind and id.
            numbering: returns the counter of numbered paragraphs. It is called when the first of them is met.
            write_drawing: writes the text of the diagram or chart with this relation.
        """
        self._flow, self._styles, self._notes = flow, styles or Styles(), notes or {}
        self._numbering, self._write_drawing = numbering, write_drawing
        self._paragraphs: list[_Paragraph] = []
        """The open paragraphs. A text box has paragraphs of its own within one."""
        self._skipped = 0
        """The number of open elements that are not read."""
        self._runs = 0
        """The number of open runs. Outside of them, a tab is a property of the paragraph."""
        self._in_text = False
        """Whether text is what a reader sees, and no property."""
        self._initial = ""
        """The large first letter of the next paragraph. In the file it is a paragraph of its own."""

    def take(self, element: Element) -> None:
        event, name, attributes = element
        if event == "text":
            if self._in_text and not self._skipped and self._paragraphs:
                self._paragraphs[-1].text.append(name)
        elif name in _SKIPPED:
            self._skipped += 1 if event == "start" else -1
            if name in _DELETIONS and self._paragraphs:
                self._paragraphs[-1].has_deletion = True
        elif self._skipped or name not in _TAKEN:
            return
        elif event == "start":
            self._start(name, attributes)
        else:
            self._end(name)

    def finish(self) -> None:
        self._flow.block(self._initial)

    def _start(self, name: str, attributes: Mapping[str, str]) -> None:
        match name:
            case "p":
                self._paragraphs.append(_Paragraph())
            case "t":
                self._in_text = True
            case "r":
                self._runs += 1
            case "tbl":
                self._flow.open_table()
            case "tc":
                self._flow.open_cell()
            case _ if self._paragraphs:
                self._start_in_paragraph(self._paragraphs[-1], name, attributes)

    def _start_in_paragraph(self, paragraph: _Paragraph, name: str, attributes: Mapping[str, str]) -> None:
        match name:
            case "tab" | "ptab" if self._runs:
                paragraph.text.append("\t")
            case "br" | "cr" if self._runs:
                paragraph.text.append("\n")
            case "noBreakHyphen":
                paragraph.text.append("-")
            case "chart" | "relIds":
                paragraph.drawings.append(attributes.get("dm") or attributes.get("id", ""))
            case _ if name in _NOTES:
                if note := self._notes.get((_NOTES[name], attributes.get("id", ""))):
                    paragraph.notes.append(note)
            case _:
                self._property(paragraph, name, attributes)

    def _property(self, paragraph: _Paragraph, name: str, attributes: Mapping[str, str]) -> None:
        match name:
            case "pStyle":
                paragraph.style = attributes.get("val", "")
                paragraph.level = self._styles.levels.get(paragraph.style, paragraph.level)
            case "numId":
                paragraph.list = attributes.get("val", "")
            case "ilvl":
                paragraph.list_level = attributes.get("val", "")
            case "outlineLvl":
                paragraph.level = level_of(number_in(attributes.get("val"), _DEEPEST))
            case "framePr" if attributes.get("dropCap", "none") != "none":
                paragraph.is_initial = True

    def _end(self, name: str) -> None:
        match name:
            case "t":
                self._in_text = False
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
        has_text = bool(text) and not text.isspace()
        if has_text or not paragraph.has_deletion:  # Word does not count a paragraph all of whose text was deleted
            number = self._next_number(paragraph)
            text = f"{number} {text}" if number and has_text else text
        if paragraph.is_initial:
            self._initial = text
        elif paragraph.level:
            self._flow.heading(paragraph.level, text)
        else:
            self._flow.block(text)
        if self._write_drawing is not None:
            for each in paragraph.drawings:
                self._write_drawing(each)
        for note in paragraph.notes:
            self._flow.block(note)

    def _next_number(self, paragraph: _Paragraph) -> str:
        """The number before the text of the paragraph. It is empty if the paragraph is not numbered."""
        of_style, level_of_style = self._styles.numbers.get(paragraph.style, ("", ""))
        list_, said_level = paragraph.list or of_style, paragraph.list_level or level_of_style
        if not list_ or self._numbering is None:
            return ""
        numbering = self._numbering()
        level = number_in(said_level) if said_level else numbering.level_of(list_, paragraph.style)
        return numbering.next(list_, min(level, _DEEPEST))


class _Paragraph:
    """A paragraph that is being read."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.style = ""
        self.list = self.list_level = ""
        """The list by which the paragraph is numbered, and its level there. They are empty if only its style names
        them."""
        self.level = 0
        """The heading level, from 1. It is 0 for a paragraph that is no heading."""
        self.has_deletion = False
        """Whether some of its text was deleted."""
        self.is_initial = False
        """Whether it is the large first letter of the next paragraph."""
        self.notes: list[str] = []
        """The texts of the notes and comments that follow it."""
        self.drawings: list[str] = []
        """The ids of the relations by which it shows diagrams and charts."""


def _styles(found: Document) -> Styles:
    parts = found.related(found.main, "styles")
    return styles_in(chain.from_iterable(found.optional(each.target) for each in parts))


def _numbering_of(found: Document) -> Callable[[], Numbering]:
    """Returns the numbering of a document, which is read when it is first needed."""

    @cache
    def numbering() -> Numbering:
        parts = found.related(found.main, "numbering")
        return Numbering(chain.from_iterable(found.optional(each.target) for each in parts))

    return numbering


def _notes(found: Document) -> dict[tuple[str, str], str]:
    """The texts of footnotes, endnotes and comments, by their kind and id."""
    notes: dict[tuple[str, str], str] = {}
    for relation in found.related(found.main, *_NOTES.values()):
        key, flow = None, Flow()
        story = _Story(flow)
        for event, name, attributes in found.optional(relation.target):
            if event == "start" and name in {"footnote", "endnote", "comment"}:
                key = (
                    None if attributes.get("type", "normal") != "normal" else (relation.kind, attributes.get("id", ""))
                )
                flow = Flow()
                story = _Story(flow)
            elif event == "end" and name in {"footnote", "endnote", "comment"}:
                if key is not None:
                    notes[key] = "\n".join(part.text.strip() for part in flow.rest())
            else:
                story.take((event, name, attributes))
    return notes


def _margins(found: Document, kind: str) -> Iterator[str]:
    """The headers or the footers, each text once."""
    seen = set()
    for relation in found.related(found.main, kind):
        flow = Flow()
        story = _Story(flow)
        for element in found.optional(relation.target):
            story.take(element)
        text = "\n".join(part.text.strip() for part in flow.rest())
        if text and text not in seen:
            seen.add(text)
            yield text


FORMAT = Format(DOCX, match=match, read=read)
