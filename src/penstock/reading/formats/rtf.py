"""RTF: text between control words (RTF specification 1.9.1): groups, destinations, code pages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from penstock.reading.format import Format, Look, Match
from penstock.reading.kinds import RTF
from penstock.reading.protocol import Opened, Read, Warned
from penstock.reading.source import Source
from penstock.reading.text.flow import Flow

_TITLE = RTF.title
_TOKEN = re.compile(
    rb"\\(?:([a-zA-Z]{1,32})(-?\d{1,10})? ?|'([0-9a-fA-F]{2})|([^a-zA-Z']))|([{}])|[\r\n\0]+|([^\\{}\r\n\0]+)|\\"
)
_SKIPPED = frozenset({
    "colortbl", "info", "pict", "objdata", "objclass", "themedata", "datastore", "listtable", "listoverridetable",
    "rsidtbl", "generator", "xmlnstbl", "fldinst", "sp", "nonshppict", "latentstyles", "colorschememapping", "filetbl",
    "revtbl", "mmathPr", "tc", "xe", "bkmkstart", "bkmkend", "atnid", "atnauthor", "atnref", "atndate", "list",
    "listname", "leveltext", "levelnumbers", "pgdsctbl", "userprops", "ftnsep", "ftnsepc", "aftnsep", "aftnsepc",
    "protusertbl", "wgrffmtfilter", "shprslt", "nonesttables",
})  # fmt: skip
"""Destinations that are no text of the document, or are shown by what stands beside them. Unknown ones that say so
(`\\*`) are none either."""
_KNOWN = frozenset({"shpinst", "shptxt", "shppict", "annotation", "fldrslt", "picprop", "nesttableprops"})
_LABELS = frozenset({"listtext", "pntext"})
"""Of the items of lists."""
_MARGINS = {f"{side}{which}": side for side in ("header", "footer") for which in ("", "l", "r", "f")}
_CHARACTERS = {
    "tab": "\t", "line": "\n", "emdash": "—", "endash": "–", "lquote": "‘", "rquote": "’", "ldblquote": "“",
    "rdblquote": "”", "bullet": "•", "emspace": " ", "enspace": " ", "qmspace": " ", "~": "\u00a0", "_": "-",
    "{": "{", "}": "}", "\\": "\\",
}  # fmt: skip
_CHARSETS = {
    0: "cp1252", 77: "mac_roman", 128: "cp932", 129: "cp949", 134: "gbk", 136: "big5", 161: "cp1253", 162: "cp1254",
    163: "cp1258", 177: "cp1255", 178: "cp1256", 186: "cp1257", 204: "cp1251", 222: "cp874", 238: "cp1250",
}  # fmt: skip
_PAGES = {"mac": "mac_roman", "pc": "cp437", "pca": "cp850"}
_HEADING = re.compile(r"heading (\d)\b", re.IGNORECASE)
_DEEPEST = 30
"""Of tables in each other, that are told apart."""
_BODY = 9
"""The outline level of what is no heading."""


def match(look: Look) -> Match:
    return Match.CERTAIN if look.head.lstrip().startswith(b"{\\rtf") else Match.NO


def read(source: Source) -> Iterator[Read]:
    with source.open() as file:
        content = file.read()
    yield Opened("rtf", "penstock", paged=False)
    flow = Flow()
    story = _Story(flow)
    for token in _tokens(content):
        story.take(token)
        yield from flow.full()
        if story.ended:
            break
    whole = story.finish()
    yield from flow.rest()
    if not whole:
        yield Warned("It is cut short: groups that it opens are not closed.")


def _tokens(content: bytes) -> Iterator[re.Match[bytes]]:
    """Without binary data, in which anything may look like a word or a brace."""
    return _tokens_around(content) if rb"\bin" in content else _TOKEN.finditer(content)


def _tokens_around(content: bytes) -> Iterator[re.Match[bytes]]:
    place = 0
    while place < len(content):
        for token in _TOKEN.finditer(content, place):
            place = token.end()
            if token[1] == b"bin" and token[2]:
                place += max(0, int(token[2]))
                break
            yield token


@dataclass(slots=True)
class _Group:
    """What holds between two braces."""

    skipped: bool = False
    target: str = ""
    """fonttbl, stylesheet, header, footer, note, label; or nothing for the text itself."""
    codec: str = "cp1252"
    fallbacks: int = 1
    """Characters that follow a Unicode one, for readers that know none."""
    fresh: bool = True
    """Whether nothing but its destination has been said yet."""
    optional: bool = False
    deleted: bool = False
    """Whether it is skipped because somebody deleted it, and changes are tracked."""


@dataclass(slots=True)
class _Paragraph:
    text: list[str] = field(default_factory=list)
    level: int = 0
    depth: int = 0
    """How many tables it stands in."""


class _Story:
    """The document, token by token."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self._groups: list[_Group] = [_Group()]
        self._paragraph = _Paragraph()
        self._aside: list[str] = []
        """What is gathered of a font, a style, a note, or a margin."""
        self._notes: list[str] = []
        self._margins: dict[str, list[str]] = {"header": [], "footer": []}
        self._bytes = bytearray()
        self._fonts: dict[int, str] = {}
        self._font = self._style = self._default = 0
        self._levels: dict[int, int] = {}
        self._codec = "cp1252"
        self._rows: dict[int, list[str]] = {}
        """Of the tables in each other, by depth, the cells of the row that is open."""
        self._cells: dict[int, list[str]] = {}
        """Of these, what stands in the cell that is open, but for the paragraph."""
        self._after_row = False
        self._skip = 0
        """Characters to be left out after a Unicode one."""
        self._high = ""
        """The first half of a pair of surrogates."""
        self.ended = False
        """Whether the document's own group was closed: what follows it is none of it."""

    def take(self, token: re.Match[bytes]) -> None:
        word, number, code, symbol, brace, text = token.groups()
        if code is not None:
            self._byte(int(code, 16))
            return
        if text is not None:
            self._plain(text)
            return
        if brace is None and word is None and symbol is None:
            return  # the file's own line ends, even between the bytes of one character
        if self._bytes:
            self._flush()
        if brace == b"{":
            self._groups.append(replace(self._group, fresh=True, optional=False))
        elif brace == b"}":
            self._close()
        elif word is not None:
            self._word(word.decode(), int(number) if number is not None else None)
        elif symbol is not None:
            self._symbol(symbol)

    @property
    def _group(self) -> _Group:
        return self._groups[-1]

    def finish(self) -> bool:
        """Whether all groups were closed."""
        self._flush()
        self._end_paragraph()
        if self._rows:
            self._end_row()
        for text in self._margins["footer"]:
            self._flow.block(text)
        return len(self._groups) == 1

    def _byte(self, value: int) -> None:
        if self._skip:
            self._skip -= 1
        elif not self._group.skipped:
            self._bytes.append(value)

    def _plain(self, text: bytes) -> None:
        self._group.fresh = False
        if self._skip:
            dropped = min(self._skip, len(text))
            self._skip -= dropped
            text = text[dropped:]
        if not self._group.skipped:
            self._bytes += text

    def _flush(self) -> None:
        """Bytes that stand together are decoded together: some code pages have two for a character."""
        if self._bytes:
            text = self._bytes.decode(self._group.codec, errors="replace")
            self._bytes.clear()
            self._say(text)

    def _say(self, text: str) -> None:
        if self._group.skipped:
            return
        (self._aside if self._group.target else self._paragraph.text).append(text)

    def _symbol(self, symbol: bytes) -> None:
        if symbol == b"*":
            self._group.optional = True
        elif symbol in {b"\n", b"\r"}:
            self._end_line()
        elif (said := symbol.decode("latin-1")) in _CHARACTERS:
            self._say(_CHARACTERS[said])

    def _word(self, word: str, number: int | None) -> None:
        group = self._group
        if group.fresh and self._opens(group, word):
            return
        group.fresh = False
        if word in _CHARACTERS:
            self._say(_CHARACTERS[word])
        elif word == "u" and number is not None:
            self._unicode(number)
        elif word == "deleted":
            self._delete(group, deleted=number != 0)
        elif number is None:
            self._layout(group, word)
        elif group.target == "stylesheet" and word == "s":
            self._style = number
        elif word == "outlinelevel":
            self._outline(number)
        elif word == "s" and not group.target:
            self._paragraph.level = self._levels.get(number, 0)
        else:
            self._coding(group, word, number)

    def _layout(self, group: _Group, word: str) -> None:
        match word:
            case "par" | "sect" | "page" | "column":
                self._end_line()
            case "cell" | "nestcell" | "row" | "nestrow" if group.target:
                self._aside.append("\t" if word.endswith("cell") else "\n")
            case "pard" if not group.target:
                self._paragraph.level = 0
                self._sink(0)
            case "intbl" if not group.target:
                self._sink(max(1, self._paragraph.depth))
            case "cell" | "nestcell":
                self._end_cell(1 if word == "cell" else self._paragraph.depth)
            case "nestrow" if self._paragraph.depth > 1:
                self._end_nested(self._paragraph.depth)
            case "row" | "nestrow":
                self._end_row()
            case "plain":
                self._delete(group, deleted=False)
                group.codec = self._fonts.get(self._default, self._codec)
            case "mac" | "pc" | "pca":
                self._codec = group.codec = _PAGES[word]

    def _delete(self, group: _Group, *, deleted: bool) -> None:
        if deleted is not group.deleted and group.skipped is group.deleted:
            group.deleted = group.skipped = deleted

    def _coding(self, group: _Group, word: str, number: int) -> None:
        match word:
            case "uc":
                group.fallbacks = max(0, number)
            case "ansicpg":
                self._codec = group.codec = _codec(f"cp{number}")
            case "deff":
                self._default = number
            case "itap" if not group.target:
                self._sink(min(max(0, number), _DEEPEST))
            case "f":
                self._font = number
                if group.target != "fonttbl":
                    group.codec = self._fonts.get(number, self._codec)
            case "fcharset" if group.target == "fonttbl":
                self._fonts[self._font] = _CHARSETS.get(number, self._codec) if number else self._codec

    def _opens(self, group: _Group, word: str) -> bool:
        """Whether this word says what the group is for."""
        if word in _SKIPPED:
            group.skipped = True
        elif word in {"fonttbl", "stylesheet"}:
            group.target = word
        elif word in _MARGINS or word in {"footnote", "annotation"}:
            group.target = _MARGINS.get(word, "note")
            self._aside = []
        elif word in _LABELS and not group.target:
            group.target = "label"
            self._aside = []
        elif group.optional and word not in _KNOWN:
            group.skipped = True
        else:
            return False
        group.fresh = False
        return True

    def _outline(self, number: int) -> None:
        level = number + 1 if number < _BODY else 0
        if self._group.target == "stylesheet":
            self._levels.setdefault(self._style, level)
        elif not self._group.target:
            self._paragraph.level = level

    def _unicode(self, number: int) -> None:
        """UTF-16, its units as signed numbers."""
        unit = chr(number % 0x10000)
        self._skip = self._group.fallbacks
        if "\ud800" <= unit < "\udc00":
            self._high = unit
            return
        pair, self._high = self._high + unit, ""
        self._say(pair.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"))

    def _close(self) -> None:
        self._skip = 0
        if len(self._groups) == 1:
            return
        closed = self._groups.pop()
        self.ended = len(self._groups) == 1
        if closed.target == "stylesheet":
            name = "".join(self._aside)
            if heading := _HEADING.search(name):
                self._levels[self._style] = int(heading[1])
            self._aside, self._style = [], 0
        elif closed.target == "fonttbl":
            self._aside = []
            self._group.codec = self._fonts.get(self._default, self._codec)
        elif closed.target and not self._group.target:
            self._end_aside(closed.target)

    def _end_aside(self, target: str) -> None:
        lines = (line.strip() for line in "".join(self._aside).splitlines())
        text = "\n".join(line for line in lines if line)
        self._aside = []
        if target == "label":
            if any(map(str.isalnum, text)) and (len(text) > 1 or text.isdigit()):  # else it is a bullet
                self._paragraph.text.append(f"{text} ")
        elif target == "note":
            self._notes.append(text)
        elif text and text not in self._margins[target]:
            self._margins[target].append(text)
            if target == "header":
                self._flow.block(text)

    def _end_line(self) -> None:
        if self._group.skipped:
            return
        if self._group.target:
            self._aside.append("\n")
        elif self._paragraph.depth:
            self._paragraph.text.append("\n")
        else:
            self._end_paragraph()

    def _sink(self, depth: int) -> None:
        """What follows stands in so many tables."""
        paragraph = self._paragraph
        if paragraph.depth != depth:
            if paragraph.depth and paragraph.text:
                self._cells.setdefault(paragraph.depth, []).extend(paragraph.text)
                paragraph.text = []
            paragraph.depth = depth

    def _end_cell(self, depth: int) -> None:
        text = "".join([*self._cells.pop(depth, []), *self._paragraph.text])
        self._paragraph.text = []
        self._rows.setdefault(depth, []).append(" ".join(text.split()))

    def _end_nested(self, depth: int) -> None:
        """A row of a table in a cell is a line of that cell."""
        cells = self._rows.pop(depth, [])
        self._cells.setdefault(depth - 1, []).append("\n" + " | ".join(cells) + "\n")

    def _end_paragraph(self) -> None:
        open_cells = [part for depth in sorted(self._cells) for part in self._cells[depth]]
        self._cells = {}
        text, self._paragraph.text = "".join([*open_cells, *self._paragraph.text]), []
        if self._after_row and text.strip():
            self._flow.close_table()
            self._after_row = False
        if self._paragraph.level:
            self._flow.heading(self._paragraph.level, text)
        else:
            self._flow.block(text)
        self._end_notes()

    def _end_row(self) -> None:
        """And the cells, and the tables in them, that were not ended."""
        paragraph = self._paragraph
        if paragraph.depth and paragraph.text:
            self._cells.setdefault(paragraph.depth, []).extend(paragraph.text)
            paragraph.text = []
        for depth in range(max([1, *self._rows, *self._cells]), 0, -1):
            if left := " ".join("".join(self._cells.pop(depth, [])).split()):
                self._rows.setdefault(depth, []).append(left)
            if depth > 1 and depth in self._rows:
                self._end_nested(depth)
        self._flow.row(self._rows.pop(1, []))
        self._after_row = True
        self._end_notes()

    def _end_notes(self) -> None:
        for note in self._notes:
            self._flow.block(note)
        self._notes = []


def _codec(name: str) -> str:
    try:
        "".encode(name)
    except LookupError:
        return "cp1252"
    return name


FORMAT = Format(RTF, match=match, read=read)
