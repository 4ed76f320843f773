"""OOXML: what DOCX, PPTX and XLSX have in common: parts in an archive that refer to each other."""

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
"""Relations to files of other programs. What a chart has so is not among them: it is asked for its labels alone."""
_NUMBER = re.compile(r"[A-Za-z](\d{1,9})\.xml$")
_NAMED = 5
_USUAL = ("word/document.xml", "ppt/presentation.xml", "xl/workbook.xml")
"""The main parts, where none is named."""


_WORDS = frozenset({"t", "text", "v"})
_ENDS = frozenset({"p", "v", "cm", "threadedComment"})
_ASIDE = frozenset({"Fallback", "numCache", "numLit"})
"""What is shown by what stands beside it, and the numbers of a chart."""


@dataclass(frozen=True, slots=True)
class Relation:
    """That one part has to another."""

    id: str
    kind: str
    """The last word of its type: slide, footnotes, hyperlink …"""
    target: str
    """The other's name in the archive."""


def match(look: Look, folder: str) -> Match:
    """The parts of each kind of document lie in a folder of its own."""
    return Match.CERTAIN if any(name.startswith(folder) for name in look.members) else Match.NO


class Document:
    """An Office document that is open."""

    def __init__(self, source: Source, archive: Archive, title: str) -> None:
        self.archive, self.title = archive, title
        self.limits = source.limits
        self._damaged: list[str] = []
        """Parts beside the main ones that could not be read to their end."""
        self._drawn: set[tuple[str, str]] = set()
        self._relations: dict[str, list[Relation]] = {}
        """Of each part that was asked about."""
        self._names = {name.lower(): name for name in archive.members}
        main = [each.target for each in self.related("", "officeDocument")] or [
            each for each in _USUAL if self.has(each)
        ]
        self.main = main[0] if main else ""

    def checked(self) -> str:
        """The main part.

        Raises:
            Unreadable: there is none.
        """
        if not self.main:
            raise Unreadable(kind=self.title, why="it does not say which of its parts is the document")
        return self.main

    def listed(
        self, tag: str, kinds: Sequence[str], folder: str, take: Callable[[str, dict[str, str]], None] | None = None
    ) -> dict[str, str]:
        """The pages that the main part lists by this tag: their parts, and names. Where it, or the list of what it
        refers to, is lost or damaged, those in the folder as well, by their numbers. `take` is told all else that the
        main part says.

        Raises:
            PasswordRequired, LimitHit: it does not open, or unfolds to too much.
            Unreadable: it is lost or damaged, and there are no pages.
        """
        parts = {relation.id: relation.target for relation in self.related(self.main, *kinds)}
        pages: dict[str, str] = {}
        damage = None
        try:
            for event, name, given in self.elements(self.main):
                if event == "start" and name == tag and given.get("id") in parts:
                    pages[parts[given["id"]]] = given.get("name", "")
                elif event == "start" and take is not None:
                    take(name, given)
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
        """Those of a part; none where there is no such part.

        Raises:
            Unreadable, LimitHit: it is damaged, or unfolds to too much.
        """
        if self.has(part):
            with self.archive.open(self._names[part.lower()]) as stream:
                yield from elements(stream, self.limits, self.title)

    def read(self, part: str) -> bytes:
        """The whole of a part without which the document can be read too; nothing where it cannot be read.

        Raises:
            LimitHit: it unfolds to too much.
        """
        try:
            return self.archive.read(self._names[part.lower()])
        except (KeyError, Unreadable, PasswordRequired):
            self._damaged.append(part)
            return b""

    def beside(self, part: str) -> Iterator[Element]:
        """Those of a part without which the document can be read too: as many as can be read.

        Raises:
            LimitHit: it unfolds to too much.
        """
        try:
            yield from self.elements(part)
        except (Unreadable, PasswordRequired):
            self._damaged.append(part)

    def related(self, part: str, *kinds: str) -> list[Relation]:
        """What this part refers to within the archive; of these kinds, or all."""
        if part not in self._relations:
            self._relations[part] = list(self._related(part))
        return [each for each in self._relations[part] if not kinds or each.kind in kinds]

    def _related(self, part: str) -> Iterator[Relation]:
        folder, name = posixpath.split(part)
        for event, tag, given in self.beside(posixpath.join(folder, "_rels", f"{name}.rels")):
            if event == "start" and tag == "Relationship" and given.get("TargetMode") != "External":
                target = posixpath.normpath(posixpath.join("/", folder, unquote(given.get("Target", "")))).lstrip("/")
                yield Relation(given.get("Id", ""), given.get("Type", "").rpartition("/")[2], target)

    def paragraphs(self, part: str) -> Iterator[str]:
        """The text of a part that is neither laid out nor divided: a comment, a diagram, the labels of a chart."""
        text: list[str] = []
        taken, aside = False, 0
        for event, name, _ in self.beside(part):
            if event == "text":
                text += [name] if taken and not aside else []
            elif name in _ASIDE:
                aside += 1 if event == "start" else -1
            elif name in _WORDS:
                taken = event == "start"
            if event == "end" and text and name in _ENDS:
                yield "".join(text)
                text = []
        if text:
            yield "".join(text)

    def drawn(self, part: str, flow: Flow, shown: str | None = None) -> None:
        """Diagrams and charts of a part: the one that it shows by this relation, or all that were not told yet."""
        for relation in self.related(part, "diagramData", "chart", "chartEx"):
            if shown in {None, relation.id} and (part, relation.id) not in self._drawn:
                self._drawn.add((part, relation.id))
                said = [text for text in self.paragraphs(relation.target) if not text.isspace()]
                # A chart has its categories again for each of its series.
                flow.block("\n".join(said if relation.kind == "diagramData" else dict.fromkeys(said)))

    def warnings(self) -> Iterator[Warned]:
        """What there is to say once all was read."""
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
    """
    Raises:
        LimitHit, Unreadable: as the archive does, or it is no document of this kind.
    """
    with opened(source) as archive:
        yield Document(source, archive, title)
