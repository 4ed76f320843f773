"""OOXML: what DOCX, PPTX and XLSX have in common. A document is an archive of parts that refer to each other."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import unquote

from penstock.domain.errors import PasswordRequired, Unreadable
from penstock.reading.format import Look, Match
from penstock.reading.protocol import Warned
from penstock.reading.source import Source
from penstock.reading.text.characters import label
from penstock.reading.text.flow import Flow
from penstock.reading.text.xml_stream import Element, elements
from penstock.reading.text.zip_archive import Archive, opened

_EMBEDDED = frozenset({"oleObject", "package"})
"""Kinds of relations to the files of other programs. The data of a chart is such a file, but is not reported: only the
labels of charts are read, so that their relations are never looked at."""
_NUMBER = re.compile(r"[A-Za-z](\d{1,9})\.xml$")
"""The number of a slide or sheet, at the end of the name of its part."""
_NAMED = 5
"""The maximum number of embedded files that a warning names."""
_USUAL = ("word/document.xml", "ppt/presentation.xml", "xl/workbook.xml")
"""The usual names of the main part, for a document that does not name it."""


_TEXTS = frozenset({"t", "text", "v"})
_PARAGRAPHS = frozenset({"p", "v", "cm", "threadedComment"})
_SKIPPED = frozenset({"Fallback", "numCache", "numLit"})
"""Elements whose text is not read: those that repeat what stands beside them, and the numbers of a chart."""


@dataclass(frozen=True, slots=True)
class Relation:
    """A reference from one part to another."""

    id: str
    kind: str
    """The last word of the relation's type, such as slide, footnotes or hyperlink."""
    target: str
    """The name in the archive of the part that is referred to."""


def match(look: Look, folder: str) -> Match:
    """Each kind of document has its parts in a folder of a certain name."""
    return Match.CERTAIN if any(name.startswith(folder) for name in look.members) else Match.NO


class Document:
    """An Office document that is open. Its main part is the one that holds its text, or lists its slides or sheets."""

    def __init__(self, source: Source, archive: Archive, title: str) -> None:
        self.archive, self.title = archive, title
        self.limits = source.limits
        self._damaged: list[str] = []
        """Parts that could not be read to their ends, although the document as a whole can be read."""
        self._drawn: set[tuple[str, str]] = set()
        """The diagrams and charts that were written, each by the part that shows it and the id of the relation."""
        self._relations: dict[str, list[Relation]] = {}
        """The relations of each part for which they were needed so far."""
        self._names = {name.lower(): name for name in archive.members}
        main = [each.target for each in self.related("", "officeDocument")] or [
            each for each in _USUAL if self.has(each)
        ]
        self.main = main[0] if main else ""

    def checked(self) -> str:
        """The name of the main part.

        Raises:
            Unreadable: there is none.
        """
        if not self.main:
            raise Unreadable(kind=self.title, why="it does not say which of its parts is the document")
        return self.main

    def listed(
        self, tag: str, kinds: Sequence[str], folder: str, take: Callable[[str, dict[str, str]], None] | None = None
    ) -> dict[str, str]:
        """The slides or sheets that the main part lists: the names of their parts, each with its title. If the list, or
        that of the relations, is lost or damaged, the parts in the folder follow in the order of their numbers.

        Args:
            tag: the element by which the main part lists them.
            kinds: the kinds of their relations.
            take: is called with the name and attributes of each other element of the main part.

        Raises:
            PasswordRequired, LimitHit: the main part does not open, or unfolds to too much.
            Unreadable: the main part is lost or damaged, and there are no slides or sheets.
        """
        parts = {relation.id: relation.target for relation in self.related(self.main, *kinds)}
        pages: dict[str, str] = {}
        damage = None
        try:
            for event, name, attributes in self.elements(self.main):
                if event == "start" and name == tag and attributes.get("id") in parts:
                    pages[parts[attributes["id"]]] = attributes.get("name", "")
                elif event == "start" and take is not None:
                    take(name, attributes)
        except Unreadable as error:
            self._damaged.append(self.main)
            damage = error
        if damage is not None or not pages:
            pages |= {part: posixpath.basename(part)[:-4] for part in self._numbered(folder) if part not in pages}
        if damage is not None and not pages:
            raise damage
        return pages if pages or self.checked() else {}

    def _numbered(self, folder: str) -> list[str]:
        numbers = {name: _NUMBER.search(name) for name in self.archive.members if posixpath.dirname(name) == folder}
        return [name for _, name in sorted((int(number[1]), name) for name, number in numbers.items() if number)]

    def has(self, part: str) -> bool:
        return part.lower() in self._names

    def elements(self, part: str) -> Iterator[Element]:
        """The elements of a part. A part that is missing has none.

        Raises:
            Unreadable, LimitHit: the part is damaged, or unfolds to too much.
        """
        if self.has(part):
            with self.archive.open(self._names[part.lower()]) as stream:
                yield from elements(stream, self.limits, self.title)

    def read(self, part: str) -> bytes:
        """The bytes of a part that the document can be read without. If the part cannot be read, they are empty, and
        there will be a warning.

        Raises:
            LimitHit: the part unfolds to too much.
        """
        try:
            return self.archive.read(self._names[part.lower()])
        except (KeyError, Unreadable, PasswordRequired):
            self._damaged.append(part)
            return b""

    def optional(self, part: str) -> Iterator[Element]:
        """The elements of a part that the document can be read without. If the part is damaged, these are the elements
        before the damage, and there will be a warning.

        Raises:
            LimitHit: the part unfolds to too much.
        """
        try:
            yield from self.elements(part)
        except (Unreadable, PasswordRequired):
            self._damaged.append(part)

    def related(self, part: str, *kinds: str) -> list[Relation]:
        """The references of this part to others in the archive, of these kinds or, if none is named, of all kinds."""
        if part not in self._relations:
            self._relations[part] = list(self._related(part))
        return [each for each in self._relations[part] if not kinds or each.kind in kinds]

    def _related(self, part: str) -> Iterator[Relation]:
        folder, name = posixpath.split(part)
        for event, tag, attributes in self.optional(posixpath.join(folder, "_rels", f"{name}.rels")):
            if event == "start" and tag == "Relationship" and attributes.get("TargetMode") != "External":
                target = posixpath.normpath(posixpath.join("/", folder, unquote(attributes.get("Target", "")))).lstrip(
                    "/"
                )
                yield Relation(attributes.get("Id", ""), attributes.get("Type", "").rpartition("/")[2], target)

    def paragraphs(self, part: str) -> Iterator[str]:
        """The text of a part without a layout: comments, a diagram, or the labels of a chart."""
        text: list[str] = []
        in_text, skipped = False, 0
        for event, name, _ in self.optional(part):
            if event == "text":
                text += [name] if in_text and not skipped else []
            elif name in _SKIPPED:
                skipped += 1 if event == "start" else -1
            elif name in _TEXTS:
                in_text = event == "start"
            if event == "end" and text and name in _PARAGRAPHS:
                yield "".join(text)
                text = []
        if text:
            yield "".join(text)

    def write_drawings(self, part: str, flow: Flow, shown: str | None = None) -> None:
        """Write the texts of the diagrams and charts of a part that were not written yet.

        Args:
            shown: the id of the relation, if only one of them is to be written.
        """
        for relation in self.related(part, "diagramData", "chart", "chartEx"):
            if shown in {None, relation.id} and (part, relation.id) not in self._drawn:
                self._drawn.add((part, relation.id))
                texts = [text for text in self.paragraphs(relation.target) if not text.isspace()]
                # A chart repeats its categories for each of its series.
                flow.block("\n".join(texts if relation.kind == "diagramData" else dict.fromkeys(texts)))

    def warnings(self) -> Iterator[Warned]:
        """The warnings about the document, once all of it was read."""
        for part in dict.fromkeys(self._damaged):
            yield Warned(f"Its part {label(part)} is damaged; what could be read of it was.")
        embedded = {
            relation.target for each in self._relations.values() for relation in each if relation.kind in _EMBEDDED
        }
        if embedded:
            names = ", ".join(label(posixpath.basename(target)) for target in sorted(embedded)[:_NAMED])
            yield Warned(f"Files of other programs in it were not read: {len(embedded)} ({names}).")
        if any(name.endswith("vbaproject.bin") for name in self._names):
            yield Warned("It has macros; they were neither read nor run.")


@contextmanager
def document(source: Source, title: str) -> Iterator[Document]:
    """Open an Office document.

    Raises:
        LimitHit, Unreadable: the archive exceeds a limit, or does not open.
    """
    with opened(source) as archive:
        yield Document(source, archive, title)
