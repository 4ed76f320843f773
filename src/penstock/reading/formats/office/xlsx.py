"""XLSX: workbooks, sheet by sheet. Each row becomes a line.

Only cells that the file holds are looked at, however wide a sheet says it is. Formulas show the value that was last
computed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from penstock.domain.errors import LimitHit, Permanent, Unreadable
from penstock.reading.format import Format, Look, Match
from penstock.reading.formats.office.number_formats import builtin_kind, formatted, kind_of
from penstock.reading.formats.office.ooxml import Document, document
from penstock.reading.formats.office.ooxml import match as match_folder
from penstock.reading.kinds import XLSX
from penstock.reading.protocol import Opened, Read, Text
from penstock.reading.source import Source
from penstock.reading.text.flow import Flow
from penstock.reading.text.xml_stream import number_in

_TITLE = XLSX.title
_COLUMN = re.compile(r"[A-Z]{1,3}")
_GAP = 16
"""The maximum number of adjacent empty cells that are kept. More of them are read as this number."""
_THREAD = "tc="
"""The beginning of the author's name in a comment that only repeats a thread."""
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
"""An escaped character in a string (ECMA-376, part 1, 22.9.2.19)."""
_VALUES = frozenset({"v", "t"})
_MARGINS = frozenset(f"{which}{side}" for which in ("odd", "even", "first") for side in ("Header", "Footer"))
_CODE = re.compile(r"&(?:\"[^\"]*\"|\d+|K[0-9A-F]{6}|.)")
"""A code in a header or footer, such as that of a page number or a font."""


def match(look: Look) -> Match:
    return Match.NO if "xl/workbook.bin" in look.members else match_folder(look, "xl/")


def read(source: Source) -> Iterator[Read]:
    with document(source, _TITLE) as found:
        book = _book(found)
        if not book.sheets:
            raise Unreadable(kind=_TITLE, why="it has no sheets")
        yield Opened("xlsx", "expat", paged=True, pages=len(book.sheets))
        flow = Flow(paged=True)
        for number, (name, part) in enumerate(book.sheets, 1):
            flow.heading(1, name)
            try:
                yield from _sheet(found, book, part, flow)
            except LimitHit:
                raise
            except Permanent as error:
                text = "\n".join(part.text for part in flow.turn())
                yield Text(number, text, problem=str(error.facts.get("why", error)))
                continue
            yield from flow.turn()
        yield from found.warnings()


@dataclass(slots=True)
class _Book:
    """What the sheets of a workbook share."""

    sheets: list[tuple[str, str]] = field(default_factory=list)
    """The name and the part of each sheet."""
    epoch: datetime = datetime(1899, 12, 30)  # noqa: DTZ001 - a sheet knows no time zones
    """The day from which dates are counted."""
    strings: list[str] = field(default_factory=list)
    formats: dict[str, str] = field(default_factory=dict)
    """The kind of the number format of each style, by the number of the style."""


def _book(found: Document) -> _Book:
    book = _Book()

    def take(name: str, attributes: dict[str, str]) -> None:
        if name == "workbookPr" and attributes.get("date1904") in {"1", "true"}:
            book.epoch = datetime(1904, 1, 1)  # noqa: DTZ001

    pages = found.listed("sheet", ["worksheet", "chartsheet"], "xl/worksheets", take)
    book.sheets += [(name, part) for part, name in pages.items()]
    for part in _parts(found, "sharedStrings"):
        book.strings += _strings(found, part)
    for part in _parts(found, "styles"):
        book.formats |= {str(style): kind for style, kind in enumerate(_formats(found, part))}
    return book


def _parts(found: Document, kind: str) -> list[str]:
    """The parts of this kind, or the one of the usual name if the workbook names none."""
    return [relation.target for relation in found.related(found.main, kind)] or [f"xl/{kind}.xml"]


def _strings(found: Document, part: str) -> Iterator[str]:
    text: list[str] = []
    shown = phonetic = False
    for event, name, _ in found.optional(part):
        match event, name:
            case "text", _:
                if shown and not phonetic:
                    text.append(name)
            case "start", "t":
                shown = True
            case "end", "t":
                shown = False
            case _, "rPh":
                phonetic = event == "start"
            case "end", "si":
                yield _text_on_one_line("".join(text))
                text = []


def _text_on_one_line(text: str) -> str:
    """The text of a cell, on one line and without escapes."""
    if "_x" in text:
        text = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)
    return " ".join(text.split()) if "\n" in text or "\r" in text else text


def _formats(found: Document, part: str) -> Iterator[str]:
    codes: dict[str, str] = {}
    inside = False
    for event, name, attributes in found.optional(part):
        if name == "cellXfs":
            inside = event == "start"
        elif event == "start" and name == "numFmt":
            codes[attributes.get("numFmtId", "")] = attributes.get("formatCode", "")
        elif event == "start" and name == "xf" and inside:
            number = attributes.get("numFmtId", "0")
            yield kind_of(codes[number]) if number in codes else builtin_kind(number)


def _sheet(found: Document, book: _Book, part: str, flow: Flow) -> Iterator[Text]:
    """The rows of a sheet, then its comments, its drawings, and its headers and footers in print."""
    if not found.has(part):
        raise Unreadable(kind=_TITLE, why=f"its part {part} is missing")
    margins: list[str] = []
    row, margin = _Row(book), False
    for event, name, attributes in found.elements(part):
        if event == "text":
            if margin:
                margins.append(_CODE.sub(" ", name).strip())
            row.text(name)
        elif name in _MARGINS:
            margin = event == "start"
        elif event == "start":
            row.start(name, attributes)
        elif name == "row":
            flow.row(row.cells)
            row = _Row(book)
            yield from flow.full()
        else:
            row.end(name)
    _write_rest(found, part, flow, margins)


class _Row:
    """A row that is being read."""

    def __init__(self, book: _Book) -> None:
        self.cells: list[str] = []
        self._book = book
        self._value: list[str] = []
        self._kind = self._style = ""
        """The type and the style of the open cell."""
        self._in_value = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "c":
            self.cells += [""] * min(_GAP, max(0, _column(attributes.get("r", "")) - len(self.cells)))
            self._kind, self._style, self._value = attributes.get("t", "n"), attributes.get("s", ""), []
        elif name in _VALUES:
            self._in_value = True

    def text(self, data: str) -> None:
        if self._in_value:
            self._value.append(data)

    def end(self, name: str) -> None:
        if name == "c":
            self.cells.append(_text_of_cell(self._book, "".join(self._value), self._kind, self._style))
        elif name in _VALUES:
            self._in_value = False


def _write_rest(found: Document, part: str, flow: Flow, margins: list[str]) -> None:
    flow.close_table()
    threads = found.related(part, "threadedComment")
    for relation in found.related(part, "comments"):
        for text in _comments(found, relation.target, threaded=bool(threads)):
            flow.block(text)
    for relation in (*threads, *found.related(part, "drawing")):
        for text in found.paragraphs(relation.target):
            flow.block(text)
        found.write_drawings(relation.target, flow)
    for text in dict.fromkeys(margins):
        flow.block(text)


def _comments(found: Document, part: str, *, threaded: bool) -> Iterator[str]:
    """The comments of a sheet.

    Args:
        threaded: whether to leave out comments that repeat a thread for programs which do not know threads.
    """
    authors: list[str] = []
    text: list[str] = []
    author = ""
    in_text = False
    for event, name, attributes in found.optional(part):
        match event, name:
            case "text", _:
                text += [name] if in_text else []
            case "start", "comment":
                place, text = number_in(attributes.get("authorId")), []
                author = authors[place] if place < len(authors) else ""
            case _, "t" | "author":
                in_text = event == "start"
        if event == "end" and name == "author":
            authors.append("".join(text))
            text = []
        elif event == "end" and name == "comment" and not (threaded and author.startswith(_THREAD)):
            yield "".join(text)


def _column(reference: str) -> int:
    """The number of columns before a cell, by its reference, such as B7. It is 0 if the cell has no reference."""
    letters = _COLUMN.match(reference)
    number = 0
    for letter in letters[0] if letters else "A":
        number = number * 26 + ord(letter) - 64
    return number - 1


def _text_of_cell(book: _Book, value: str, kind: str, style: str) -> str:
    match kind:
        case "s":
            place = number_in(value, len(book.strings))
            return book.strings[place] if place < len(book.strings) else ""
        case "b":
            return "TRUE" if value == "1" else "FALSE"
        case "n":
            return formatted(value, book.formats.get(style, ""), book.epoch)
    return _text_on_one_line(value)


FORMAT = Format(XLSX, match=match, read=read)
