"""RTF: text between control words (RTF specification 1.9.1).

Braces hold a group, which inherits the state of the group around it and loses its own at its end. The first control
word of a group may name its destination: what the text in it is for, such as a footnote or the table of fonts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from penstock.reading.format import Format, Look, Match
from penstock.reading.formats.rtf_layout import Layout
from penstock.reading.formats.rtf_tokens import Token, tokens
from penstock.reading.kinds import RTF
from penstock.reading.protocol import Opened, Read, Warned
from penstock.reading.source import Source
from penstock.reading.text.flow import Flow

_SKIPPED = frozenset({
    "colortbl", "info", "pict", "objdata", "objclass", "themedata", "datastore", "listtable", "listoverridetable",
    "rsidtbl", "generator", "xmlnstbl", "fldinst", "sp", "nonshppict", "latentstyles", "colorschememapping", "filetbl",
    "revtbl", "mmathPr", "tc", "xe", "bkmkstart", "bkmkend", "atnid", "atnauthor", "atnref", "atndate", "list",
    "listname", "leveltext", "levelnumbers", "pgdsctbl", "userprops", "ftnsep", "ftnsepc", "aftnsep", "aftnsepc",
    "protusertbl", "wgrffmtfilter", "shprslt", "nonesttables",
})  # fmt: skip
"""Destinations that are not read: they hold no text of the document, or they repeat what stands beside them."""
_READ = frozenset({"shpinst", "shptxt", "shppict", "annotation", "fldrslt", "picprop", "nesttableprops"})
"""Destinations that are read although they are marked by `\\*`. Others with that mark are skipped, as RTF demands of
readers that do not know them."""
_LABELS = frozenset({"listtext", "pntext"})
"""Destinations that hold the number or bullet of a list item."""
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
"""The code page of each character set that a font may have."""
_CODE_PAGES = {"mac": "mac_roman", "pc": "cp437", "pca": "cp850"}
_HEADING = re.compile(r"heading (\d)\b", re.IGNORECASE)
_DEEPEST = 30
"""The maximum depth of tables in each other. Deeper ones are read as tables of this depth."""
_BODY_LEVEL = 9
"""The outline level of paragraphs that are no headings."""


def match(look: Look) -> Match:
    return Match.CERTAIN if look.head.lstrip().startswith(b"{\\rtf") else Match.NO


def read(source: Source) -> Iterator[Read]:
    with source.open() as file:
        content = file.read()
    yield Opened("rtf", "penstock", paged=False)
    flow = Flow()
    document = _Interpreter(Layout(flow))
    for token in tokens(content):
        document.take(token)
        yield from flow.full()
        if document.ended:
            break
    complete = document.finish()
    yield from flow.rest()
    if not complete:
        yield Warned("It is cut short: groups that it opens are not closed.")


@dataclass(slots=True)
class _Group:
    """The state that holds between two braces. An inner group starts with a copy of the state of the outer one."""

    skipped: bool = False
    """Whether the text of the group is not read."""
    destination: str = ""
    """What the text is for: `fonttbl`, `stylesheet`, `header`, `footer`, `note` or `label`. It is empty for the text of
    the document itself."""
    codec: str = "cp1252"
    fallbacks: int = 1
    """The number of characters after each Unicode character that repeat it for readers which do not know Unicode."""
    at_start: bool = True
    """Whether the group may still name its destination."""
    ignorable: bool = False
    """Whether the destination is marked by `\\*`: a reader that does not know it skips the group."""
    deleted: bool = False
    """Whether the group is skipped because its text is a deletion that the document keeps track of."""


class _Interpreter:
    """Takes the document token by token: keeps the state of the open groups, decodes the text, and lays it out."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._groups: list[_Group] = [_Group()]
        self._collected: list[str] = []
        """The text of the open destination: the name of a font or style, a note, a label, a header or a footer."""
        self._bytes = bytearray()
        """Bytes of text that are not decoded yet."""
        self._codec = "cp1252"
        """The encoding of the document, for fonts that do not name theirs."""
        self._fonts: dict[int, str] = {}
        """The encodings of the fonts, by their numbers."""
        self._font = self._default_font = 0
        """The number of the font that was named last, and of the font of text that names none."""
        self._levels: dict[int, int] = {}
        """The heading levels of the paragraph styles, by their numbers."""
        self._style = 0
        """The number of the style that is being defined."""
        self._to_skip = 0
        """The number of characters that are still to be skipped, because they repeat a Unicode character."""
        self._high_surrogate = ""
        """The first half of a surrogate pair whose second half has not come yet."""
        self.ended = False
        """Whether the group of the whole document was closed. What follows it in the file does not belong to it."""

    def take(self, token: Token) -> None:
        match token.lastgroup:
            case "byte":
                self._byte(int(token["byte"], 16))
            case "text":
                self._plain(token["text"])
            case None:
                pass  # a line end of the file means nothing, even between the two bytes of one character
            case kind:
                self._flush()
                self._control(kind, token)

    def finish(self) -> bool:
        """Write what is left. The result says whether all groups were closed."""
        self._flush()
        self._layout.finish()
        return len(self._groups) == 1

    @property
    def _group(self) -> _Group:
        return self._groups[-1]

    def _control(self, kind: str, token: Token) -> None:
        if kind == "word":
            number = token["number"]
            self._word(token["name"].decode(), int(number) if number is not None else None)
        elif kind == "symbol":
            self._symbol(token["symbol"])
        elif token["brace"] == b"{":
            self._groups.append(replace(self._group, at_start=True, ignorable=False))
        else:
            self._close()

    # Text

    def _byte(self, value: int) -> None:
        if self._to_skip:
            self._to_skip -= 1
        elif not self._group.skipped:
            self._bytes.append(value)

    def _plain(self, text: bytes) -> None:
        self._group.at_start = False
        if self._to_skip:
            dropped = min(self._to_skip, len(text))
            self._to_skip -= dropped
            text = text[dropped:]
        if not self._group.skipped:
            self._bytes += text

    def _flush(self) -> None:
        """Decode adjacent bytes together: in some code pages a character has two."""
        if self._bytes:
            text = self._bytes.decode(self._group.codec, errors="replace")
            self._bytes.clear()
            self._write(text)

    def _write(self, text: str) -> None:
        if self._group.skipped:
            return
        if self._group.destination:
            self._collected.append(text)
        else:
            self._layout.write(text)

    def _unicode(self, number: int) -> None:
        """Write a unit of UTF-16, which the file gives as a signed number."""
        unit = chr(number % 0x10000)
        self._to_skip = self._group.fallbacks
        if "\ud800" <= unit < "\udc00":
            self._high_surrogate = unit
            return
        pair, self._high_surrogate = self._high_surrogate + unit, ""
        self._write(pair.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"))

    # Control symbols and words

    def _symbol(self, symbol: bytes) -> None:
        if symbol == b"*":
            self._group.ignorable = True
        elif symbol in {b"\n", b"\r"}:
            self._end_line()
        elif (character := symbol.decode("latin-1")) in _CHARACTERS:
            self._write(_CHARACTERS[character])

    def _word(self, word: str, number: int | None) -> None:
        group = self._group
        if group.at_start and self._sets_destination(group, word):
            return
        group.at_start = False
        if word in _CHARACTERS:
            self._write(_CHARACTERS[word])
        elif word == "u" and number is not None:
            self._unicode(number)
        elif word == "deleted":
            self._delete(group, deleted=number != 0)
        elif number is None:
            self._layout_word(group, word)
        elif word in {"s", "outlinelevel"}:
            self._style_word(group, word, number)
        else:
            self._coding_word(group, word, number)

    def _sets_destination(self, group: _Group, word: str) -> bool:
        """Whether this word, which is the first of its group, says what the group is for."""
        if word in _SKIPPED:
            group.skipped = True
        elif word in {"fonttbl", "stylesheet"}:
            group.destination = word
        elif word in _MARGINS or word in {"footnote", "annotation"}:
            group.destination = _MARGINS.get(word, "note")
            self._collected = []
        elif word in _LABELS and not group.destination:
            group.destination = "label"
            self._collected = []
        elif group.ignorable and word not in _READ:
            group.skipped = True
        else:
            return False
        group.at_start = False
        return True

    def _layout_word(self, group: _Group, word: str) -> None:
        layout = self._layout
        match word:
            case "par" | "sect" | "page" | "column":
                self._end_line()
            case "cell" | "nestcell" | "row" | "nestrow" if group.destination:
                self._collected.append("\t" if word.endswith("cell") else "\n")
            case "pard" if not group.destination:
                layout.level = 0
                layout.enter(0)
            case "intbl" if not group.destination:
                layout.enter(max(1, layout.depth))
            case "cell" | "nestcell":
                layout.end_cell(1 if word == "cell" else layout.depth)
            case "nestrow" if layout.depth > 1:
                layout.end_nested_row(layout.depth)
            case "row" | "nestrow":
                layout.end_row()
            case "plain":
                self._delete(group, deleted=False)
                group.codec = self._fonts.get(self._default_font, self._codec)
            case "mac" | "pc" | "pca":
                self._codec = group.codec = _CODE_PAGES[word]

    def _style_word(self, group: _Group, word: str, number: int) -> None:
        """A word that says of a style, or of a paragraph, which heading level it has."""
        level = number + 1 if number < _BODY_LEVEL else 0
        match word, group.destination:
            case "s", "stylesheet":
                self._style = number
            case "s", "":
                self._layout.level = self._levels.get(number, 0)
            case "outlinelevel", "stylesheet":
                self._levels.setdefault(self._style, level)
            case "outlinelevel", "":
                self._layout.level = level

    def _coding_word(self, group: _Group, word: str, number: int) -> None:
        match word:
            case "uc":
                group.fallbacks = max(0, number)
            case "ansicpg":
                self._codec = group.codec = _codec(f"cp{number}")
            case "deff":
                self._default_font = number
            case "itap" if not group.destination:
                self._layout.enter(min(max(0, number), _DEEPEST))
            case "f":
                self._font = number
                if group.destination != "fonttbl":
                    group.codec = self._fonts.get(number, self._codec)
            case "fcharset" if group.destination == "fonttbl":
                self._fonts[self._font] = _CHARSETS.get(number, self._codec) if number else self._codec

    def _delete(self, group: _Group, *, deleted: bool) -> None:
        """Start or end a deletion. A group that is skipped for another reason stays so."""
        if deleted is not group.deleted and group.skipped is group.deleted:
            group.deleted = group.skipped = deleted

    def _end_line(self) -> None:
        if self._group.skipped:
            return
        if self._group.destination:
            self._collected.append("\n")
        else:
            self._layout.end_line()

    # The ends of groups

    def _close(self) -> None:
        self._to_skip = 0
        if len(self._groups) == 1:
            return
        closed = self._groups.pop()
        self.ended = len(self._groups) == 1
        if closed.destination == "stylesheet":
            self._end_style()
        elif closed.destination == "fonttbl":
            self._collected = []
            self._group.codec = self._fonts.get(self._default_font, self._codec)
        elif closed.destination and not self._group.destination:
            self._end_destination(closed.destination)

    def _end_style(self) -> None:
        """A style whose name is that of a heading has the level in its name, whatever else it says."""
        if heading := _HEADING.search("".join(self._collected)):
            self._levels[self._style] = int(heading[1])
        self._collected, self._style = [], 0

    def _end_destination(self, destination: str) -> None:
        lines = (line.strip() for line in "".join(self._collected).splitlines())
        text = "\n".join(line for line in lines if line)
        self._collected = []
        if destination == "note":
            self._layout.note(text)
        elif destination != "label":
            self._layout.margin(destination, text)
        elif any(map(str.isalnum, text)) and (len(text) > 1 or text.isdigit()):  # otherwise it is a bullet
            self._layout.write(f"{text} ")


def _codec(name: str) -> str:
    try:
        "".encode(name)
    except LookupError:
        return "cp1252"
    return name


FORMAT = Format(RTF, match=match, read=read)
