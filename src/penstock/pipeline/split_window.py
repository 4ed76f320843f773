"""The window of a splitter: the part of a text that is in memory, with its pages, sections and boundaries."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar
from zlib import crc32

from penstock.domain.chunk import Page

T = TypeVar("T")

_PARAGRAPH = re.compile(r"\n[^\S\n]*\n\s*")
_SENTENCE = re.compile(r"[.!?…][\"'”’»)\]]*\s+|[。！？][”’」』）]*\s*")
_LINE = re.compile(r"\n\s*")
_WORD = re.compile(r"\s+")

HEADING, PARAGRAPH, SENTENCE, LINE, WORD = LEVELS = range(5)
"""The levels of boundaries, the best first: headings, paragraphs, sentences, lines, words."""
CONTEXT = 24
"""The number of characters on either side of a boundary that its hash is made of."""
MARGIN = 64
"""The number of characters before a place that decide whether a boundary is there."""
_BLOCK = 65_536
"""The number of characters that are read ahead at a time."""


class Window:
    """The part of the text that is in memory. Positions are characters from the beginning of the document."""

    def __init__(self, pages: Iterable[Page]) -> None:
        self.ended = False
        self._text = ""
        self._base = 0
        self._pages: Marks[int] = Marks(0)
        self._sections: Marks[tuple[str, ...]] = Marks(())
        self._headings: list[int] = []
        self._page_ends: list[int] = []
        self._blocks = self._read(pages)

    @property
    def end(self) -> int:
        """The position after the last character in memory."""
        return self._base + len(self._text)

    def _read(self, pages: Iterable[Page]) -> Iterator[str]:
        """The text in blocks. The marks of a page are set before its first block is yielded."""
        position, before = 0, ""
        for page in pages:
            if not page.text:
                continue
            if before and not before[-1].isspace() and not page.text[0].isspace():
                position += 1
                self._page_ends.append(position)
                yield "\n"
            self._pages.add(position, page.number)
            for section in page.sections:
                if section.path != self._sections.last:
                    self._sections.add(position + section.offset, section.path)
                    self._headings.append(position + section.offset)
            for start in range(0, len(page.text), _BLOCK):
                yield page.text[start : start + _BLOCK]
            position += len(page.text)
            before = page.text[-1]

    def fill(self, end: int) -> None:
        """Read the text up to this position and one block more, so that the text in memory is seldom copied."""
        if self.end >= end or self.ended:
            return
        parts, size = [self._text], self.end
        while size < end + _BLOCK:
            block = next(self._blocks, None)
            if block is None:
                self.ended = True
                break
            parts.append(block)
            size += len(block)
        self._text = "".join(parts)

    def forget(self, before: int) -> None:
        """Drop the text before this position, once there is so much of it that this is worth a copy of the rest."""
        if before - self._base < _BLOCK:
            return
        self._text = self._text[before - self._base :]
        self._base = before
        self._pages.forget(before)
        self._sections.forget(before)
        self._headings = [position for position in self._headings if position >= before]
        self._page_ends = [position for position in self._page_ends if position >= before]

    def slice(self, start: int, end: int) -> str:
        return self._text[start - self._base : end - self._base]

    def page(self, position: int) -> int:
        return self._pages.at(position)

    def page_before(self, position: int) -> tuple[int, int]:
        """The position where the page of this position begins, and its number. A position before the first page counts
        as on it."""
        return self._pages.mark(max(0, position))

    def page_breaks(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """The pages that begin after position `first` and not after `last`: where each begins, and its number."""
        return self._pages.between(first, last)

    def section(self, position: int) -> tuple[str, ...]:
        return self._sections.at(position)

    def boundaries(self, level: int, start: int, end: int) -> list[int]:
        """The boundaries of this level within [start, end), ascending: the positions where a new unit of text
        begins."""
        if level == HEADING:
            return [position for position in self._headings if start <= position < end]
        pattern = (_PARAGRAPH, _SENTENCE, _LINE, _WORD)[level - PARAGRAPH]
        low, high = start - self._base, end - self._base
        matches = pattern.finditer(self._text, max(0, low - MARGIN), max(0, high))
        found = [
            self._base + place
            for match in matches
            if low <= (place := match.end()) < high
            # Only the end of a run of white space decides, however far back one looks. So every reader finds the same.
            and (place - match.start() <= MARGIN or pattern.search(self._text, place - MARGIN, place))
        ]
        if level == PARAGRAPH and self._page_ends:
            found = sorted({*found, *(position for position in self._page_ends if start <= position < end)})
        return found

    def anywhere(self, low: int, high: int) -> int:
        """The last position within [low, high] that splits neither a letter from its combining marks nor a line end.
        `high` if there is none."""
        for position in range(high, low - 1, -1):
            here = position - self._base
            around = self._text[here - 1 : here + 1]
            if around != "\r\n" and not unicodedata.combining(around[-1:] or " "):
                return position
        return high

    def hash(self, position: int) -> int:
        """The hash of the text around a position. It decides between boundaries of the same level."""
        here = position - self._base
        return crc32(self._text[max(0, here - CONTEXT) : here + CONTEXT].encode("utf-8", "surrogatepass"))


class Marks(Generic[T]):
    """Values, each of which holds from its position on."""

    def __init__(self, first: T) -> None:
        self._positions = [0]
        self._values = [first]

    @property
    def last(self) -> T:
        return self._values[-1]

    def add(self, position: int, value: T) -> None:
        self._positions.append(position)
        self._values.append(value)

    def at(self, position: int) -> T:
        return self._values[bisect_right(self._positions, position) - 1]

    def mark(self, position: int) -> tuple[int, T]:
        """The value that holds at this position, and the position that it holds from."""
        index = bisect_right(self._positions, position) - 1
        return self._positions[index], self._values[index]

    def between(self, first: int, last: int) -> Iterator[tuple[int, T]]:
        """The values that begin to hold after `first` and not after `last`, with their positions."""
        low, high = bisect_right(self._positions, first), bisect_right(self._positions, last)
        return zip(self._positions[low:high], self._values[low:high], strict=True)

    def forget(self, before: int) -> None:
        """Drop the values that no longer hold at this position."""
        kept = bisect_right(self._positions, before) - 1
        del self._positions[:kept], self._values[:kept]
