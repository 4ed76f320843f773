"""A reader without a child process: takes every file for text, and its form feeds for page ends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from penstock.chunk import Page


class PlainReading:
    kind, engine, paged = "text", "plain", True
    warnings: Sequence[str] = ()

    def __init__(self, text: str) -> None:
        self._pages = text.split("\f")

    @property
    def pages(self) -> int:
        return len(self._pages)

    def __iter__(self) -> Iterator[Page]:
        return (Page(number, text) for number, text in enumerate(self._pages, 1))


class PlainReader:
    """Raises `fail`, where it is set, in the place of reading; `read_files` has the names of what was read."""

    def __init__(self) -> None:
        self.fail: Exception | None = None
        self.read_files: list[str] = []

    @contextmanager
    def read(self, path: Path, *, name: str, declared: str | None) -> Iterator[PlainReading]:
        self.read_files.append(name)
        if self.fail is not None:
            raise self.fail
        yield PlainReading(path.read_text())
