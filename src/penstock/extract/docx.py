"""DOCX: Word documents, as they are read: tables where they stand, notes and comments after their paragraph, headers
and footers once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from penstock.errors import Unreadable
from penstock.extract.flow import Flow
from penstock.extract.format import Format, Look, Match
from penstock.extract.frames import Opened, Read, Text
from penstock.extract.kinds import DOCX
from penstock.extract.markup import Element
from penstock.extract.ooxml import Document, document
from penstock.extract.ooxml import match as match_folder
from penstock.extract.source import Source

_TITLE = DOCX.title
_HEADING = re.compile(r"heading (\d)$", re.IGNORECASE)
_SKIPPED = frozenset({"Fallback", "moveFrom", "pPrChange", "rPrChange", "instrText", "delText", "del"})
"""What is not shown, or is shown by what stands beside it."""
_NOTES = {"footnoteReference": "footnotes", "endnoteReference": "endnotes", "commentReference": "comments"}
_DEEPEST = 9


def match(look: Look) -> Match:
    return match_folder(look, "word/")


def read(source: Source) -> Iterator[Read]:
    with document(source, _TITLE) as found:
        yield Opened("docx", "expat", paged=False)
        flow = Flow()
        for text in _margins(found, "header"):
            flow.block(text)
        story = _Story(flow, _levels(found), _notes(found))
        try:
            for element in found.elements(found.main):
                story.take(element)
                yield from flow.full()
        except Unreadable as error:
            yield from flow.rest()
            yield Text(flow.number, "", problem=str(error.facts["why"]))
            return
        found.drawn(found.main, flow)
        for text in _margins(found, "footer"):
            flow.block(text)
        yield from flow.rest()
        yield from found.warnings()


class _Story:
    """One run of text: the document itself, or a note."""

    def __init__(self, flow: Flow, levels: Mapping[str, int], notes: Mapping[tuple[str, str], str]) -> None:
        self._flow, self._levels, self._notes = flow, levels, notes
        self._paragraphs: list[_Paragraph] = []
        """Those that are open: a text box has its own within another."""
        self._skipped = 0
        self._runs = 0
        self._shown = False
        """Whether text is what a reader sees, and no property."""

    def take(self, element: Element) -> None:
        event, name, given = element
        if event == "text":
            if self._shown and not self._skipped and self._paragraphs:
                self._paragraphs[-1].text.append(name)
        elif name in _SKIPPED:
            self._skipped += 1 if event == "start" else -1
        elif self._skipped:
            return
        elif event == "start":
            self._start(name, given)
        else:
            self._end(name)

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
            case "pStyle":
                paragraph.level = self._levels.get(given.get("val", ""), paragraph.level)
            case "outlineLvl" if given.get("val", "").isdigit():
                paragraph.level = _level(int(given["val"]))
            case _ if name in _NOTES:
                if note := self._notes.get((_NOTES[name], given.get("id", ""))):
                    paragraph.notes.append(note)

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
        text = "".join(paragraph.text)
        if paragraph.level:
            self._flow.heading(paragraph.level, text)
        else:
            self._flow.block(text)
        for note in paragraph.notes:
            self._flow.block(note)


class _Paragraph:
    """One that is being read."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.level = 0
        """Of a heading, from 1."""
        self.notes: list[str] = []


def _level(outline: int) -> int:
    """Outline levels count from 0; 9 is body text."""
    return outline + 1 if outline < _DEEPEST else 0


def _levels(found: Document) -> dict[str, int]:
    """Which styles are of headings, by id. A style has the level of the one that it is based on, unless it says."""
    levels: dict[str, int] = {}
    based: dict[str, str] = {}
    for relation in found.related(found.main, "styles"):
        for style, name, said in _said_of_styles(found, relation.target):
            match name:
                case "name" if said.lower() == "title":
                    levels[style] = 1
                case "name" if heading := _HEADING.match(said):
                    levels[style] = int(heading[1])
                case "basedOn":
                    based[style] = said
                case "outlineLvl" if said.isdigit():
                    levels.setdefault(style, _level(int(said)))
    for each in based:
        chain = [each]
        while chain[-1] not in levels and chain[-1] in based and based[chain[-1]] not in chain:
            chain.append(based[chain[-1]])
        levels.setdefault(each, levels.get(chain[-1], 0))
    return levels


def _said_of_styles(found: Document, part: str) -> Iterator[tuple[str, str, str]]:
    """A style's id, and a name and a value that it says of itself."""
    style = ""
    for event, name, given in found.beside(part):
        if event == "start" and name == "style":
            style = given.get("styleId", "")
        elif event == "start" and style:
            yield style, name, given.get("val", "")


def _notes(found: Document) -> dict[tuple[str, str], str]:
    """Footnotes, endnotes and comments, by what they are and their id."""
    notes: dict[tuple[str, str], str] = {}
    for relation in found.related(found.main, *_NOTES.values()):
        key, flow = None, Flow()
        story = _Story(flow, {}, {})
        for event, name, given in found.beside(relation.target):
            if event == "start" and name in {"footnote", "endnote", "comment"}:
                key = None if given.get("type", "normal") != "normal" else (relation.kind, given.get("id", ""))
                flow = Flow()
                story = _Story(flow, {}, {})
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
        story = _Story(flow, {}, {})
        for element in found.beside(relation.target):
            story.take(element)
        text = "\n".join(part.text.strip() for part in flow.rest())
        if text and text not in said:
            said.add(text)
            yield text


FORMAT = Format(DOCX, match=match, read=read)
