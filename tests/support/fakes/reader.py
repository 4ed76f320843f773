"""A reader whose pages, failures and warnings a test sets."""

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
    """Every file has the `pages`, if they are set; else its own text, divided into pages at form feeds. If `fail` is
    set, it is raised after `fail_at` pages."""

    pages: Sequence[Page] | None = None
    fail: Exception | None = None
    fail_at: int = 0
    kind: str = "text"
    paged: bool = False
    seeks: bool = False
    warnings: Sequence[str] = ()
    read_files: list[tuple[str, str | None]] = field(default_factory=list)
    """The name and the declared type of each file that was read."""

    @contextmanager
    def read(
        self,
        path: Path,
        *,
        name: str,
        declared: str | None,
        first_page: int = 1,
        tenant: TenantId | None = None,
        on_member: OnMember | None = None,
    ) -> Iterator[FakeReading]:
        self.read_files.append((name, declared))
        if first_page > 1:
            assert self.seeks, "this file cannot be read from a later page"
        yield FakeReading(self, path, first_page, on_member)


class FakeReading:
    def __init__(self, reader: FakeReader, path: Path, first_page: int, on_member: OnMember | None = None) -> None:
        self._reader, self._path, self._first_page, self._on_member = reader, path, first_page, on_member
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
        if self._on_member is not None and content.startswith(b"PK"):
            yield from self._members(self._on_member)
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

    def _members(self, on_member: OnMember) -> Iterator[Page]:
        """Hand the files of a ZIP archive to `take`. An empty file is a page without text instead."""
        with zipfile.ZipFile(self._path) as archive:
            names = archive.namelist()
            self.kind, self.engine, self.pages = "zip", "fake", len(names)
            for number, name in enumerate(names, 1):
                content = archive.read(name)
                if content:
                    on_member(Member(number, (name,), "text/plain", len(content), iter([content])))
                else:
                    yield Page(number, "")
