"""XLSX: workbooks, sheet by sheet, each row on a line. Only cells that are there are looked at, however wide the sheet
says it is; formulas show the value that was last computed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from penstock.domain.errors import LimitHit, Permanent, Unreadable
from penstock.reading.format import Format, Look, Match
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
"""Empty cells in a row that are shown as such; of more, these."""
_LITERAL = re.compile(r'"[^"]*"|\\.|_.|\*.|\[[^\]]*\]')
"""Of a number format: what is no code in it."""
_BUILTIN = {
    **dict.fromkeys((9, 10), "percent"),
    **dict.fromkeys((14, 15, 16, 17, 27, 30, 36, 50, 57), "date"),
    **dict.fromkeys((18, 19, 20, 21, 45, 47), "time"),
    22: "moment",
    46: "hours",
}
"""What formats that every workbook has show (ECMA-376, part 1, 18.8.30)."""
_CLOCKS = {"date": "%Y-%m-%d", "time": "%H:%M:%S", "moment": "%Y-%m-%d %H:%M:%S", "hours": ""}
_HOURS = re.compile(r"\[[hms]+\]", re.IGNORECASE)
"""By which a format is one of a length of time."""
_ZEROS = re.compile(r"0{2,15}")
"""A format by which a number has so many digits at least, as postcodes have."""
_THREAD = "tc="
"""Begins the author of a comment that repeats a thread."""
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
"""A character in a string (ECMA-376, part 1, 22.9.2.19)."""
_EXACT = 2**53
"""Of numbers beyond, not every digit is told."""
_VALUES = frozenset({"v", "t"})
_MARGINS = frozenset(f"{which}{side}" for which in ("odd", "even", "first") for side in ("Header", "Footer"))
_CODE = re.compile(r"&(?:\"[^\"]*\"|\d+|K[0-9A-F]{6}|.)")
"""Of a header or a footer."""


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
                said = list(flow.turn())
                yield Text(number, "\n".join(each.text for each in said), problem=str(error.facts.get("why", error)))
                continue
            yield from flow.turn()
        yield from found.warnings()


@dataclass(slots=True)
class _Book:
    """What sheets share."""

    sheets: list[tuple[str, str]] = field(default_factory=list)
    """Name and part."""
    epoch: datetime = datetime(1899, 12, 30)  # noqa: DTZ001 - a sheet knows no time zones
    strings: list[str] = field(default_factory=list)
    formats: dict[str, str] = field(default_factory=dict)
    """`date`, `time`, `moment`, `hours`, `percent`, zeros, or nothing, by number of the style."""


def _book(found: Document) -> _Book:
    book = _Book()

    def take(name: str, given: dict[str, str]) -> None:
        if name == "workbookPr" and given.get("date1904") in {"1", "true"}:
            book.epoch = datetime(1904, 1, 1)  # noqa: DTZ001

    pages = found.listed("sheet", ["worksheet", "chartsheet"], "xl/worksheets", take)
    book.sheets += [(name, part) for part, name in pages.items()]
    for part in _parts(found, "sharedStrings"):
        book.strings += _strings(found, part)
    for part in _parts(found, "styles"):
        book.formats |= {str(style): kind for style, kind in enumerate(_formats(found, part))}
    return book


def _parts(found: Document, kind: str) -> list[str]:
    """Of this kind; those of the usual name where the workbook does not say."""
    return [relation.target for relation in found.related(found.main, kind)] or [f"xl/{kind}.xml"]


def _strings(found: Document, part: str) -> Iterator[str]:
    text: list[str] = []
    shown = phonetic = False
    for event, name, _ in found.beside(part):
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
                yield _line("".join(text))
                text = []


def _line(text: str) -> str:
    """A cell's text as it stands in a row."""
    if "_x" in text:
        text = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)
    return " ".join(text.split()) if "\n" in text or "\r" in text else text


def _formats(found: Document, part: str) -> Iterator[str]:
    codes: dict[str, str] = {}
    inside = False
    for event, name, given in found.beside(part):
        if name == "cellXfs":
            inside = event == "start"
        elif event == "start" and name == "numFmt":
            codes[given.get("numFmtId", "")] = given.get("formatCode", "")
        elif event == "start" and name == "xf" and inside:
            number = given.get("numFmtId", "0")
            yield _kind(codes[number]) if number in codes else _builtin(number)


def _builtin(number: str) -> str:
    return _BUILTIN.get(number_in(number), "")


def _kind(code: str) -> str:
    first = code.partition(";")[0]
    if _HOURS.search(first):
        return "hours"
    bare = _LITERAL.sub("", first).lower()
    day, time = re.search(r"[yd]", bare), re.search(r"[hs]", bare)
    if time:
        return "moment" if day else "time"
    if day or "m" in bare:
        return "date"
    return bare if _ZEROS.fullmatch(bare) else "percent" if "%" in bare else ""


def _sheet(found: Document, book: _Book, part: str, flow: Flow) -> Iterator[Text]:
    """Its rows; behind them what was noted at cells, drawn on it, and stands over and under it in print."""
    if not found.has(part):
        raise Unreadable(kind=_TITLE, why=f"its part {part} is missing")
    margins: list[str] = []
    row, margin = _Row(book), False
    for event, name, given in found.elements(part):
        if event == "text":
            if margin:
                margins.append(_CODE.sub(" ", name).strip())
            row.text(name)
        elif name in _MARGINS:
            margin = event == "start"
        elif event == "start":
            row.start(name, given)
        elif name == "row":
            flow.row(row.cells)
            row = _Row(book)
            yield from flow.full()
        else:
            row.end(name)
    _beside(found, part, flow, margins)


class _Row:
    """One that is being read."""

    def __init__(self, book: _Book) -> None:
        self.cells: list[str] = []
        self._book = book
        self._value: list[str] = []
        self._kind = self._style = ""
        self._shown = False

    def start(self, name: str, given: dict[str, str]) -> None:
        if name == "c":
            self.cells += [""] * min(_GAP, max(0, _column(given.get("r", "")) - len(self.cells)))
            self._kind, self._style, self._value = given.get("t", "n"), given.get("s", ""), []
        elif name in _VALUES:
            self._shown = True

    def text(self, data: str) -> None:
        if self._shown:
            self._value.append(data)

    def end(self, name: str) -> None:
        if name == "c":
            self.cells.append(_shown(self._book, "".join(self._value), self._kind, self._style))
        elif name in _VALUES:
            self._shown = False


def _beside(found: Document, part: str, flow: Flow, margins: list[str]) -> None:
    flow.close_table()
    threads = found.related(part, "threadedComment")
    for relation in found.related(part, "comments"):
        for text in _comments(found, relation.target, threaded=bool(threads)):
            flow.block(text)
    for relation in (*threads, *found.related(part, "drawing")):
        for text in found.paragraphs(relation.target):
            flow.block(text)
        found.drawn(relation.target, flow)
    for text in dict.fromkeys(margins):
        flow.block(text)


def _comments(found: Document, part: str, *, threaded: bool) -> Iterator[str]:
    """Where they are `threaded`, those that repeat a thread for programs which know of none are left out."""
    authors: list[str] = []
    text: list[str] = []
    author = ""
    taken = False
    for event, name, given in found.beside(part):
        match event, name:
            case "text", _:
                text += [name] if taken else []
            case "start", "comment":
                place, text = number_in(given.get("authorId")), []
                author = authors[place] if place < len(authors) else ""
            case _, "t" | "author":
                taken = event == "start"
        if event == "end" and name == "author":
            authors.append("".join(text))
            text = []
        elif event == "end" and name == "comment" and not (threaded and author.startswith(_THREAD)):
            yield "".join(text)


def _column(reference: str) -> int:
    """How many columns are before that of a cell such as B7; 0 where it does not say."""
    letters = _COLUMN.match(reference)
    number = 0
    for letter in letters[0] if letters else "A":
        number = number * 26 + ord(letter) - 64
    return number - 1


def _shown(book: _Book, value: str, kind: str, style: str) -> str:
    match kind:
        case "s":
            place = number_in(value, len(book.strings))
            return book.strings[place] if place < len(book.strings) else ""
        case "b":
            return "TRUE" if value == "1" else "FALSE"
        case "n":
            return _number(book, value, book.formats.get(style, ""))
    return _line(value)


def _number(book: _Book, value: str, kind: str) -> str:
    if not kind and value.isdigit():
        return value
    try:
        number = float(value)
        if kind in _CLOCKS:
            return _dated(book.epoch, number, kind)
        if kind == "percent":
            return f"{number * 100:.10g}%"
        if kind and number.is_integer():
            return f"{int(number):0{len(kind)}}"
        return f"{number:.0f}" if number.is_integer() and abs(number) < _EXACT else f"{number:.15g}"
    except (ValueError, OverflowError):
        return value


def _dated(epoch: datetime, days: float, kind: str) -> str:
    seconds = round(days * 86_400)
    if kind == "hours":
        minutes, seconds = divmod(abs(seconds), 60)
        return f"{'-' * (days < 0)}{minutes // 60}:{minutes % 60:02}:{seconds:02}"
    if days < 1:
        kind = "time"
    elif kind == "moment" and days == int(days):
        kind = "date"
    return f"{epoch + timedelta(seconds=seconds):{_CLOCKS[kind]}}"


FORMAT = Format(XLSX, match=match, read=read)
