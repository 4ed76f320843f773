"""Split: cut pages into overlapping chunks where nearby text alone decides, so that an edit moves few cuts."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar
from zlib import crc32

from penstock.domain.chunk import Chunk, Cut, Page
from penstock.domain.errors import Misconfigured

T = TypeVar("T")

_PARAGRAPH = re.compile(r"\n[^\S\n]*\n\s*")
_SENTENCE = re.compile(r"[.!?…][\"'”’»)\]]*\s+|[。！？][”’」』）]*\s*")
_LINE = re.compile(r"\n\s*")
_WORD = re.compile(r"\s+")

_LEVELS = range(5)
"""Headings, paragraphs, sentences, lines, words: the best boundaries first."""
_CONTEXT = 24
"""Characters on either side of a boundary that make its hash."""
_MARGIN = 64
"""Characters before a place that decide whether a boundary is there."""
_BLOCK = 65_536
"""Characters read ahead at a time."""


def split(pages: Iterable[Page], *, largest: int, overlap: int, fits: Callable[[str], bool]) -> Iterator[Chunk]:
    """Chunks of at most `largest` characters, each beginning with up to `overlap` characters repeated from before it.

    What follows the repeated part is the chunk's core. The cores, joined, are the text of the pages, with a line end
    between two pages that have no white space there. A core is at most `largest - overlap` long and ends at a landmark:
    a boundary that is the best of all within two fifths of that length on either side. A heading is better than the end
    of a paragraph or page, that than a sentence's, a line's and a word's; among equals a hash of the text around
    decides.
    Where no landmark is in reach, it ends at the best boundary that is. So the cuts depend on nearby text alone, and
    those of an edited text are the old ones again right after the edit.

    A chunk that does not fit is cut smaller; `fits` must take every single character. Cores of white space alone are
    left out. A chunk's pages are those that its text stands on, its section is the one that its core begins in.
    Memory is bounded by the largest page and a constant, whatever the number of pages.
    """
    return (chunk for chunk, _ in cuts(pages, largest=largest, overlap=overlap, fits=fits))


def cuts(
    pages: Iterable[Page], *, largest: int, overlap: int, fits: Callable[[str], bool], after: Cut | None = None
) -> Iterator[tuple[Chunk, Cut]]:
    """What `split` yields, each chunk with the cut behind it. Given one as `after`, and the pages from its page on,
    come the chunks that followed it, the same in every byte.

    That they are the same rests on this: what decides a cut lies less than `least` characters and a margin before it,
    and `after` names a page that begins before all of that.
    """
    window = _Window(pages)
    greatest = largest - overlap
    least = max(1, greatest * 2 // 5)
    behind = max(overlap, least) + _MARGIN
    ordinal, done = (after.ordinal, after.pieces) if after else (0, 0)
    for start, end in _cores(window, least, greatest, after.offset if after else 0):
        for piece, (begin, core, stop) in enumerate(_fitting(window, start, end, overlap, fits), 1):
            text = window.slice(begin, stop)
            if piece <= done or text[core - begin :].isspace():
                continue
            first, last = begin + len(text) - len(text.lstrip()), begin + len(text.rstrip()) - 1
            breaks = tuple((position - begin, number) for position, number in window.page_breaks(first, last))
            following, pieces = (end, 0) if stop == end else (start, piece)
            page_start, page = window.page_before(following - behind)
            yield (
                Chunk(ordinal, text, window.page(first), window.page(last), window.section(core), breaks),
                Cut(page, following - page_start, pieces, ordinal + 1),
            )
            ordinal += 1
        done = 0
        window.forget(end - behind)


def _cores(window: _Window, least: int, greatest: int, start: int) -> Iterator[tuple[int, int]]:
    """Where each core from this one on begins and ends."""
    landmarks: deque[int] = deque()
    decided = start + least
    while True:
        window.fill(start + greatest + 2 * least + _CONTEXT + 1)
        # A boundary at the very end of what is in memory would be hashed without what follows it.
        known = window.end - least - (0 if window.ended else _CONTEXT)
        if decided < known:
            landmarks += _landmarks(window, decided, known, least)
            decided = known
        following = landmarks[0] if landmarks else window.end
        if landmarks and following <= start + greatest:
            end = landmarks.popleft()
        elif window.end <= start + greatest:
            break
        else:
            end = _best(window, start + least, min(start + greatest, following - least))
        yield start, end
        start = end
    if start < window.end:
        yield start, window.end


def _landmarks(window: _Window, start: int, end: int, reach: int) -> list[int]:
    """The boundaries within [start, end) that are the best of all within `reach` on either side, ascending."""
    found: list[int] = []
    gaps = [(start, end)]
    for level in _LEVELS:
        undecided, gaps = gaps, []
        for low, high in undecided:
            rivals = window.boundaries(level, low - reach, high + reach)
            found += (position for position in _dominant(window, rivals, reach) if low <= position < high)
            gaps += _uncovered(low, high, rivals, reach)
    return sorted(found)


def _dominant(window: _Window, rivals: Iterable[int], reach: int) -> Iterator[int]:
    """Those of the positions, ascending, whose hash is the greatest within `reach` on either side."""
    falling: deque[tuple[int, int, bool]] = deque()
    for position in rivals:
        while falling and falling[0][0] < position - reach:
            leader, _, unbeaten = falling.popleft()
            if unbeaten:
                yield leader
        value = window.hash(position)
        while falling and falling[-1][1] < value:
            falling.pop()
        falling.append((position, value, not falling))
    yield from (position for position, _, unbeaten in falling if unbeaten)


def _uncovered(low: int, high: int, rivals: Iterable[int], reach: int) -> Iterator[tuple[int, int]]:
    """The stretches of [low, high) that are further than `reach` from all of the positions."""
    for position in rivals:
        if position - reach > low:
            yield low, min(position - reach, high)
        low = max(low, position + reach + 1)
    if low < high:
        yield low, high


def _best(window: _Window, low: int, high: int) -> int:
    """The best boundary within [low, high], both counted; among equals the last."""
    for level in _LEVELS:
        rivals = window.boundaries(level, low, high + 1)
        if rivals:
            return max(rivals, key=lambda position: (window.hash(position), position))
    return window.anywhere(low, high)


def _fitting(
    window: _Window, start: int, end: int, overlap: int, fits: Callable[[str], bool]
) -> Iterator[tuple[int, int, int]]:
    """The core, or the pieces of it that fit: where each chunk begins, where its core begins, and where both end."""
    begin = _overlap(window, start, overlap)
    if fits(window.slice(begin, end)):
        yield begin, start, end
    elif 2 * (start - begin) > end - start:
        yield from _fitting(window, start, end, 0, fits)
    elif end - start == 1:
        raise Misconfigured(why="The embedder's window does not take a single character.")
    else:
        third = max(1, (end - start) // 3)
        middle = _best(window, start + third, end - third)
        yield from _fitting(window, start, middle, overlap, fits)
        yield from _fitting(window, middle, end, overlap, fits)


def _overlap(window: _Window, start: int, overlap: int) -> int:
    """Where the text that is repeated before `start` begins: with a sentence, else with a line or a word."""
    low = max(0, start - overlap)
    if low == 0 or overlap == 0:
        return low if overlap else start
    for level, high in ((2, start - overlap // 2), (4, start)):
        found = window.boundaries(level, low, high)
        if found:
            return found[0]
    return window.anywhere(low, low)


class _Window:
    """The part of the text that is in memory. Positions count from the beginning of the document."""

    def __init__(self, pages: Iterable[Page]) -> None:
        self.ended = False
        self._text = ""
        self._base = 0
        self._pages: _Marks[int] = _Marks(0)
        self._sections: _Marks[tuple[str, ...]] = _Marks(())
        self._headings: list[int] = []
        self._page_ends: list[int] = []
        self._blocks = self._read(pages)

    @property
    def end(self) -> int:
        """Position after the last character in memory."""
        return self._base + len(self._text)

    def _read(self, pages: Iterable[Page]) -> Iterator[str]:
        """The text in blocks. What is known of a page is noted before its first block is handed out."""
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
        """Have the text up to this position in memory, and a block more, so that it is seldom copied."""
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
        """Let go of what lies before this position, once that is worth the copying."""
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
        """Where the page that this position is on begins, and its number; of the first page, if it is before that."""
        return self._pages.mark(max(0, position))

    def page_breaks(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Where pages begin after position `first` and up to `last`, and their numbers."""
        return self._pages.between(first, last)

    def section(self, position: int) -> tuple[str, ...]:
        return self._sections.at(position)

    def boundaries(self, level: int, start: int, end: int) -> list[int]:
        """Positions within [start, end) where, at this level, text begins anew; ascending."""
        if level == 0:
            return [position for position in self._headings if start <= position < end]
        pattern = (_PARAGRAPH, _SENTENCE, _LINE, _WORD)[level - 1]
        low, high = start - self._base, end - self._base
        matches = pattern.finditer(self._text, max(0, low - _MARGIN), max(0, high))
        found = [
            self._base + place
            for match in matches
            if low <= (place := match.end()) < high
            # However far back a run of white space is seen, its end alone decides: so it does from wherever one looks.
            and (place - match.start() <= _MARGIN or pattern.search(self._text, place - _MARGIN, place))
        ]
        if level == 1 and self._page_ends:
            found = sorted({*found, *(position for position in self._page_ends if start <= position < end)})
        return found

    def anywhere(self, low: int, high: int) -> int:
        """The last position within [low, high] that parts no letter from its marks and no line end; else `high`."""
        for position in range(high, low - 1, -1):
            here = position - self._base
            build_id = self._text[here - 1 : here + 1]
            if build_id != "\r\n" and not unicodedata.combining(build_id[-1:] or " "):
                return position
        return high

    def hash(self, position: int) -> int:
        here = position - self._base
        return crc32(self._text[max(0, here - _CONTEXT) : here + _CONTEXT].encode("utf-8", "surrogatepass"))


class _Marks(Generic[T]):
    """Values, each in force from its position on."""

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
        """Where the value in force at this position begins to be, and the value."""
        index = bisect_right(self._positions, position) - 1
        return self._positions[index], self._values[index]

    def between(self, first: int, last: int) -> Iterator[tuple[int, T]]:
        """Values whose place is after `first` and not after `last`."""
        low, high = bisect_right(self._positions, first), bisect_right(self._positions, last)
        return zip(self._positions[low:high], self._values[low:high], strict=True)

    def forget(self, before: int) -> None:
        """Let go of the values that are no longer in force at this position."""
        kept = bisect_right(self._positions, before) - 1
        del self._positions[:kept], self._values[:kept]
