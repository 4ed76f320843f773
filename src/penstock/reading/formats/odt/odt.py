"""ODT: OpenDocument texts, in the order in which they are read.

Tables are read where they stand, and notes and comments after their paragraph. Headers and footers are read once. Lists
and headings have their numbers before their text. Formulas, charts and the tables of other programs follow the
paragraph that they stand in."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from penstock.domain.errors import PasswordRequired, Unreadable
from penstock.reading.format import Format, Look, Match
from penstock.reading.formats.odt.lists import LIST_ELEMENTS, Lists
from penstock.reading.kinds import ODT
from penstock.reading.protocol import Opened, Read, Text, Warned
from penstock.reading.source import Source
from penstock.reading.text.characters import label
from penstock.reading.text.flow import Flow
from penstock.reading.text.xml_stream import Element, elements, number_in
from penstock.reading.text.zip_archive import Archive, opened

_TITLE = ODT.title
_PURPOSE = "application/vnd.oasis.opendocument.text"
_CONTENT = "content.xml"
_SKIPPED = frozenset({"tracked-changes", "note-citation", "creator", "date", "creator-initials", "bibliography-source"})
_NOTES = frozenset({"note", "annotation"})
_MARGINS = {"header", "header-left", "header-first", "footer", "footer-left", "footer-first"}
_SIGNS = frozenset({"mi", "mn", "mo", "mtext", "ms"})
_MOST_SPACES = 1000


def match(look: Look) -> Match:
    return Match.CERTAIN if look.purpose.startswith(_PURPOSE) else Match.NO


def read(source: Source) -> Iterator[Read]:
    with opened(source) as archive:
        if _encrypted(source, archive):
            raise PasswordRequired
        if _CONTENT not in archive.members:
            raise Unreadable(kind=_TITLE, why=f"its part {_CONTENT} is missing")
        yield Opened("odt", "expat", paged=False)
        flow = Flow()
        lists = Lists()
        headers, footers = _margins(source, archive, lists)
        for text in headers:
            flow.block(text)
        objects = _Objects(source, archive)
        story = _Story(flow, objects, lists)
        try:
            for element in _elements(source, archive, _CONTENT):
                story.take(element)
                yield from flow.full()
        except Unreadable as error:
            yield from flow.rest()
            yield Text(flow.number, "", problem=str(error.facts["why"]))
            return
        for text in footers:
            flow.block(text)
        yield from flow.rest()
        yield from objects.warnings()


def _elements(source: Source, archive: Archive, name: str) -> Iterator[Element]:
    if name in archive.members:
        with archive.open(name) as stream:
            yield from elements(stream, source.limits, _TITLE)


def _encrypted(source: Source, archive: Archive) -> bool:
    manifest = _elements(source, archive, "META-INF/manifest.xml")
    return any(name == "encryption-data" for _, name, _ in manifest)


class _Objects:
    """The formulas, charts and tables of other programs. Each is a document in a folder of its own."""

    def __init__(self, source: Source, archive: Archive) -> None:
        self._source, self._archive = source, archive
        self._damaged: list[str] = []
        """The names of the parts that could not be read to their ends."""

    def write(self, place: str, flow: Flow) -> None:
        """Write the text of the object in this folder.

        Raises:
            LimitHit: it unfolds to too much.
        """
        name = posixpath.normpath(posixpath.join(place, _CONTENT))
        story, formula = _Story(flow), _Formula()
        try:
            for element in _elements(self._source, self._archive, name):
                story.take(element)
                formula.take(element)
        except (Unreadable, PasswordRequired):
            self._damaged.append(name)
        flow.block(" ".join(formula.signs))

    def warnings(self) -> Iterator[Warned]:
        for name in dict.fromkeys(self._damaged):
            yield Warned(f"Its part {label(name)} is damaged; what could be read of it was.")


class _Formula:
    """Collects the signs that a formula shows (MathML)."""

    def __init__(self) -> None:
        self.signs: list[str] = []
        self._shown = False

    def take(self, element: Element) -> None:
        event, name, _ = element
        if event == "text":
            self.signs += [name.strip()] if self._shown else []
        else:
            self._shown = event == "start" and name in _SIGNS


class _Story:
    """Reads one run of text: the document itself, an object in it, or a header or footer."""

    def __init__(self, flow: Flow, objects: _Objects | None = None, lists: Lists | None = None) -> None:
        self._flow = flow
        self._objects = objects
        self._lists = lists or Lists()
        self._objects_shown: list[str] = []
        """The folders of the objects whose paragraph has not ended."""
        self._open: list[list[str]] = []
        """The texts of the open paragraphs, each of which stands in the one before, as in a text box."""
        self._levels: list[int] = []
        """The heading levels of the open paragraphs. The level of other paragraphs is 0."""
        self._notes: list[_Note] = []
        """The notes that are open."""
        self._ended_notes: list[str] = []
        """The texts of the notes whose paragraph has not ended."""
        self._skipped = 0
        """The number of open elements that are not read."""

    def take(self, element: Element) -> None:
        event, name, attributes = element
        if event == "text":
            if self._open and not self._skipped:
                self._open[-1].append(name)
        elif name in _SKIPPED:
            self._skipped += 1 if event == "start" else -1
        elif self._skipped:
            return
        elif name in LIST_ELEMENTS:
            self._lists.take(event, name, attributes)
        elif event == "start":
            self._start(name, attributes)
        else:
            self._end(name)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        match name:
            case "p" | "h":
                self._open.append([])
                self._levels.append(0 if name == "p" else number_in(attributes.get("outline-level"), 1))
            case "note" | "annotation":
                self._notes.append(_Note())
            case "table":
                self._flow.open_table()
            case "table-cell":
                self._flow.open_cell()
            case "object":
                self._objects_shown.append(attributes.get("href", ""))
            case "desc" if self._open:  # the description of a drawing, which follows its title
                self._open[-1].append(" ")
            case "tab" if self._open:
                self._open[-1].append("\t")
            case "line-break" if self._open:
                self._open[-1].append("\n")
            case "s" if self._open:
                self._open[-1].append(" " * min(_MOST_SPACES, number_in(attributes.get("c"), 1)))

    def _end(self, name: str) -> None:
        match name:
            case "p" | "h" if self._open:
                self._close("".join(self._open.pop()), self._levels.pop())
            case "note" | "annotation" if self._notes:
                self._ended_notes.append("\n".join(self._notes.pop().blocks))
            case "table-cell":
                self._flow.close_cell()
            case "table-row":
                self._flow.close_row()
            case "table":
                self._flow.close_table()

    def _close(self, text: str, level: int) -> None:
        if self._notes:
            self._notes[-1].blocks.append(text)
            return
        label = self._lists.label(level)
        if label and text and not text.isspace():
            text = f"{label} {text}"
        if level:
            self._flow.heading(level, text)
        else:
            self._flow.block(text)
        if not self._open:
            notes, self._ended_notes = self._ended_notes, []
            for note in notes:
                self._flow.block(note)
            places, self._objects_shown = self._objects_shown, []
            if self._objects is not None:
                for place in places:
                    self._objects.write(place, self._flow)


class _Note:
    """A footnote, an endnote or a comment."""

    def __init__(self) -> None:
        self.blocks: list[str] = []


def _margins(source: Source, archive: Archive, lists: Lists) -> tuple[list[str], list[str]]:
    """The headers and the footers, each text once. The styles of lists, which are in the same part, are taken as
    well."""
    texts: dict[str, list[str]] = {"header": [], "footer": []}
    story, flow = None, Flow()
    for element in _elements(source, archive, "styles.xml"):
        event, name, attributes = element
        if name in _MARGINS and event == "start":
            flow = Flow()
            story = _Story(flow)
        elif name in _MARGINS and event == "end":
            story = None
            text = "\n".join(part.text.strip() for part in flow.rest())
            side = texts[name.partition("-")[0]]
            if text and text not in side:
                side.append(text)
        elif story is not None:
            story.take(element)
        elif name in LIST_ELEMENTS:
            lists.take(event, name, attributes)
    return texts["header"], texts["footer"]


FORMAT = Format(ODT, match=match, read=read)
