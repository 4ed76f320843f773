"""A flow collects paragraphs, headings and table rows, and cuts them into parts of text with their section paths."""

from __future__ import annotations

import re
from collections.abc import Iterator

from penstock.reading.protocol import PART, Scan, Text
from penstock.reading.text.characters import legible

_BLANKS = re.compile(r"\s+")
_LONGEST_TITLE = 200


class Flow:
    """What is written to a flow is yielded by `full` once there is enough for a part, and by `rest` at the end. In a
    format with pages, `turn` ends a page; a long page comes in several parts that have its number."""

    def __init__(self, *, paged: bool = False, number: int = 1) -> None:
        self._paged, self._number = paged, number
        self._page_started = False
        """Whether a part of this page has been yielded already."""
        self._text: list[str] = []
        self._size = 0
        self._sections: list[tuple[int, tuple[str, ...]]] = []
        self._path: list[tuple[int, str]] = []
        self._tables: list[list[str]] = []
        """For each open table, from the outermost: the finished cells of its open row."""
        self._cells: list[list[str]] = []
        """For each open cell, from the outermost: the blocks that it has so far."""

    def heading(self, level: int, title: str) -> None:
        """Write a paragraph that opens a section, and closes those of this level and deeper. Level 1 is the
        outermost."""
        title = _BLANKS.sub(" ", legible(title)).strip()
        if title and not self._cells:
            self._path = [*(each for each in self._path if each[0] < level), (level, title[:_LONGEST_TITLE])]
            self._sections = [each for each in self._sections if each[0] < self._size]
            self._sections.append((self._size, self._titles()))
        self.block(title)

    def block(self, text: str) -> None:
        """Write a paragraph, which an empty line separates from the next."""
        self._write(text, "\n\n")

    def line(self, text: str) -> None:
        """Write a line that no empty line separates from the next, such as an item of a list."""
        self._write(text, "\n")

    def open_table(self) -> None:
        self._tables.append([])

    def open_cell(self) -> None:
        """Open a cell of the innermost open table. A cell outside a table, or directly in another cell, is ignored."""
        if len(self._cells) < len(self._tables):
            self._cells.append([])

    def close_cell(self) -> None:
        if self._cells and self._tables:
            self._tables[-1].append(_BLANKS.sub(" ", " ".join(self._cells.pop())).strip())

    def close_row(self) -> None:
        if self._tables:
            cells, self._tables[-1] = self._tables[-1], []
            self.row(cells)

    def close_table(self) -> None:
        if self._tables:
            self._close_innermost()
        if not self._cells:
            self._add("\n")

    def row(self, cells: list[str]) -> None:
        """Write cells on one line, so that search finds what belongs together."""
        if any(cells):
            self.line(" | ".join(cells).rstrip(" |"))

    def turn(self) -> Iterator[Text]:
        """Yield the rest of the page, if necessary an empty one. What is written next stands on the next page."""
        yield from self._flush(always=not self._page_started)
        self._number += 1
        self._page_started = False
        self._path = []
        self._sections = [(0, ())]  # what stands on the page is under no heading of the one before

    def full(self) -> Iterator[Text]:
        """Yield a part, if there is enough text for one."""
        if self._size >= PART:
            yield from self._flush()

    def rest(self) -> Iterator[Text]:
        """Close all tables, and yield the last part."""
        while self._tables:
            self._close_innermost()
        yield from self._flush()

    @property
    def number(self) -> int:
        """The number of the next part or page."""
        return self._number

    @property
    def written(self) -> bool:
        """Whether text has been written that has not been yielded yet."""
        return self._size > 0

    def skip(self, count: int) -> None:
        """Leave out this count of numbers, which parts from elsewhere have."""
        self._number += count

    def follow(self, frame: object) -> None:
        """Continue the numbers after this frame, which something else numbered."""
        if isinstance(frame, Text | Scan):
            self._number = max(self._number, frame.number + 1)

    def _flush(self, *, always: bool = False) -> Iterator[Text]:
        text = "".join(self._text)
        if text.strip() or always:
            yield Text(self._number, text.rstrip() + "\n" if text.strip() else "", tuple(self._sections))
            self._page_started = True
            if not self._paged:
                self._number += 1
        self._text, self._size = [], 0
        self._sections = [(0, self._titles())] if self._path else []

    def _close_innermost(self) -> None:
        """Close the innermost table together with its open cell and row."""
        if len(self._cells) == len(self._tables):
            self.close_cell()
        self.close_row()
        self._tables.pop()

    def _write(self, text: str, end: str) -> None:
        text = legible(text).strip("\n")
        if not text.strip():
            return
        if self._cells:
            self._cells[-1].append(text)
        else:
            self._add(text + end)

    def _add(self, text: str) -> None:
        self._text.append(text)
        self._size += len(text)

    def _titles(self) -> tuple[str, ...]:
        return tuple(title for _, title in self._path)
