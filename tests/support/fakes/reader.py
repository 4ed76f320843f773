"""A reader that reads what it is told to have read."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from penstock.domain.chunk import Page
from penstock.domain.errors import EmptyFile
from penstock.domain.ids import TenantId
from penstock.ports import Member, OnMember


@dataclass
class FakeReader:
    """`pages` given: of whatever file. Else the file's own text, one page for each that a form feed ends. `fail`
    given: that is raised instead of the page at which `fail_at` pages were read."""

    pages: Sequence[Page] | None = None
    fail: Exception | None = None
    fail_at: int = 0
    kind: str = "text"
    paged: bool = False
    seeks: bool = False
    warnings: Sequence[str] = ()
    read_files: list[tuple[str, str | None]] = field(default_factory=list)
    """Name and declared type of each file that was asked for."""

    @contextmanager
    def read(
        self,
        path: Path,
        *,
        name: str,
        declared: str | None,
        first_page: int = 1,
        tenant: TenantId | None = None,
        take: OnMember | None = None,
    ) -> Iterator[FakeReading]:
        self.read_files.append((name, declared))
        if first_page > 1:
            assert self.seeks, "asked to seek what cannot"
        yield FakeReading(self, path, first_page, take)


class FakeReading:
    def __init__(self, reader: FakeReader, path: Path, first_page: int, take: OnMember | None = None) -> None:
        self._reader, self._path, self._first_page, self._take = reader, path, first_page, take
        self.kind = self.engine = ""
        self.paged = False
        self.pages = 0
        self.seeks = reader.seeks
        self.warnings: Sequence[str] = ()

    def __iter__(self) -> Iterator[Page]:
        reader = self._reader
        content = self._path.read_bytes()
        if not content:
            raise EmptyFile
        if self._take is not None and content.startswith(b"PK"):
            yield from self._apart(self._take)
            return
        pages = reader.pages
        if pages is None:
            pages = [Page(number, text) for number, text in enumerate(content.decode(errors="replace").split("\f"), 1)]
        self.kind, self.engine, self.paged, self.pages = reader.kind, "fake", reader.paged, len(pages)
        if reader.fail is not None:
            yield from pages[: reader.fail_at]
            raise reader.fail
        yield from pages[self._first_page - 1 :]
        self.warnings = reader.warnings

    def _apart(self, take: OnMember) -> Iterator[Page]:
        """The files of a ZIP archive; one without bytes is left out."""
        with zipfile.ZipFile(self._path) as archive:
            names = archive.namelist()
            self.kind, self.engine, self.pages = "zip", "fake", len(names)
            for number, name in enumerate(names, 1):
                content = archive.read(name)
                if content:
                    take(Member(number, (name,), "text/plain", len(content), iter([content])))
                else:
                    yield Page(number, "")
