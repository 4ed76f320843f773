"""Flow: paragraphs, headings and table rows on their way into parts of text, with the sections that they stand in."""

from __future__ import annotations

import re
from collections.abc import Iterator

from penstock.reading.protocol import PART, Scan, Text
from penstock.reading.text.characters import legible

_BLANKS = re.compile(r"\s+")
_LONGEST_TITLE = 200


class Flow:
    """What is written to it comes out of `full` once it is enough for a part, and of `rest` at the end. Of a format
    with pages, `turn` ends a page; one that is long comes in several parts under its number."""

    def __init__(self, *, paged: bool = False, number: int = 1) -> None:
        self._paged, self._number = paged, number
        self._begun = False
        """Whether something of this page is out already."""
        self._text: list[str] = []
        self._size = 0
        self._sections: list[tuple[int, tuple[str, ...]]] = []
        self._path: list[tuple[int, str]] = []
        self._tables: list[list[str]] = []
        """Of each table that is open, one in the other, the cells of the row that is open."""
        self._cells: list[list[str]] = []
        """Of each cell that is open, what it holds so far."""

    def heading(self, level: int, title: str) -> None:
        """A paragraph that opens a section, and closes those that are as deep. 1 is the outermost level."""
        title = _BLANKS.sub(" ", legible(title)).strip()
        if title and not self._cells:
            self._path = [*(each for each in self._path if each[0] < level), (level, title[:_LONGEST_TITLE])]
            self._sections = [each for each in self._sections if each[0] < self._size]
            self._sections.append((self._size, self._titles()))
        self.block(title)

    def block(self, text: str) -> None:
        self._put(text, "\n\n")

    def line(self, text: str) -> None:
        """A block that the next belongs close to, such as the item of a list."""
        self._put(text, "\n")

    def open_table(self) -> None:
        self._tables.append([])

    def open_cell(self) -> None:
        """Of a table, that is: elsewhere what is called one is none."""
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
            self._end_table()
        if not self._cells:
            self._add("\n")

    def row(self, cells: list[str]) -> None:
        """Cells on one line, so that search finds what belongs together."""
        if any(cells):
            self.line(" | ".join(cells).rstrip(" |"))

    def turn(self) -> Iterator[Text]:
        """The rest of the page; what follows is on the next."""
        yield from self._taken(always=not self._begun)
        self._number += 1
        self._begun = False
        self._path = []
        self._sections = [(0, ())]  # what stands on the page is under no heading of the one before

    def full(self) -> Iterator[Text]:
        """A part, where there is enough for one."""
        if self._size >= PART:
            yield from self._taken()

    def rest(self) -> Iterator[Text]:
        while self._tables:
            self._end_table()
        yield from self._taken()

    @property
    def number(self) -> int:
        """Of the part, or page, that comes next."""
        return self._number

    @property
    def written(self) -> bool:
        """Whether there is something that has not come out yet."""
        return self._size > 0

    def skip(self, count: int) -> None:
        """So many parts were numbered by another."""
        self._number += count

    def follow(self, frame: object) -> None:
        """A frame that another numbered: what comes next stands after it."""
        if isinstance(frame, Text | Scan):
            self._number = max(self._number, frame.number + 1)

    def _taken(self, *, always: bool = False) -> Iterator[Text]:
        text = "".join(self._text)
        if text.strip() or always:
            yield Text(self._number, text.rstrip() + "\n" if text.strip() else "", tuple(self._sections))
            self._begun = True
            if not self._paged:
                self._number += 1
        self._text, self._size = [], 0
        self._sections = [(0, self._titles())] if self._path else []

    def _end_table(self) -> None:
        """And what is open in it."""
        if len(self._cells) == len(self._tables):
            self.close_cell()
        self.close_row()
        self._tables.pop()

    def _put(self, text: str, end: str) -> None:
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
