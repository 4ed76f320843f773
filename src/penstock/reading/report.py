"""A report holds everything that reading a file gives, for a person at a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

from penstock.domain.page_ranges import ranges
from penstock.ports import Reader


class PageReport(TypedDict):
    number: int
    text: str


class FileReport(TypedDict):
    """What `penstock extract FILE --json` prints."""

    kind: str
    engine: str
    pages: list[PageReport]
    warnings: list[str]


def report(reader: Reader, path: Path, *, declared: str | None = None) -> FileReport:
    """Read a file and hold all of it in memory.

    Raises:
        Permanent: the file cannot be read; the error says why.
        Transient: no child process could be started.
    """
    with reader.read(path, name=path.name, declared=declared) as reading:
        pages = list(reading)
    problems = [f"Page {page.number} could not be read whole: {page.problem}." for page in pages if page.problem]
    explained = {page.number for page in pages if page.problem or page.text.strip()}
    if not any(page.text.strip() for page in pages):
        problems.append("There is no text in it. If it is a scan, have its text recognized (PENSTOCK_RECOGNIZER).")
    elif reading.paged and (empty := {page.number for page in pages} - explained):
        problems.append(f"Pages without text: {ranges(sorted(empty))}.")
    return FileReport(
        kind=reading.kind,
        engine=reading.engine,
        pages=[PageReport(number=page.number, text=page.text) for page in pages],
        warnings=[*reading.warnings, *problems],
    )
