"""Split: cut pages into overlapping chunks. Only nearby text decides where a cut is, so an edit moves few cuts.

A chunk is its core and, before that, the overlap: text that is repeated from the chunk before.

    text      aaaaaaaaaaaaaaaaaaaa|bbbbbbbbbbbbbbbbbbb|cccccccccccccccc
    chunk 0   [      core 0      ]
    chunk 1                 [over.|     core 1       ]
    chunk 2                                    [over. |    core 2     ]

A core ends at a landmark: a boundary that is better than every other boundary within `least` characters on either side.
A heading is better than the end of a paragraph, and that is better than the end of a sentence, of a line, of a word.
Among boundaries of one level, the hash of the text around them decides. Where no landmark is near enough, a core ends
at the best boundary that is. After an edit, the landmarks behind it are where they were, and so are the cuts.

An example, with cores of at most 10 characters, so that `least` is 4, and a heading at 12:

    position   0    5  8   12 15 18
    text       aaa. b. ccc d. end
    landmark        yes    yes

The heading at 12 is a landmark. The sentence ends at 8 and at 15 have the heading within 4 characters, so they are
none. The sentence end at 5 has only the one at 8 near it, and a greater hash. So the cores are "aaa. ", "b. ccc " and
"d. end".
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator

from penstock.domain.chunk import Chunk, Cut, Page
from penstock.domain.errors import Misconfigured
from penstock.pipeline.split_window import CONTEXT, LEVELS, MARGIN, SENTENCE, WORD, Window


def split(pages: Iterable[Page], *, largest: int, overlap: int, fits: Callable[[str], bool]) -> Iterator[Chunk]:
    """The chunks of these pages, each of at most `largest` characters, of which up to `overlap` are repeated text.

    The cores, joined, are the text of the pages, with a line end between two pages that have no white space there. A
    core has at most `largest - overlap` characters, and `least` (see the module) is two fifths of that. The end of a
    page counts as the end of a paragraph.

    A chunk that does not fit is cut into smaller ones; `fits` must accept every single character. A core of white space
    alone is left out. The pages of a chunk are those that its text stands on, and its section is the one that its core
    begins in. Memory is bounded by the largest page and a constant, whatever the number of pages.
    """
    return (chunk for chunk, _ in cuts(pages, largest=largest, overlap=overlap, fits=fits))


def cuts(
    pages: Iterable[Page], *, largest: int, overlap: int, fits: Callable[[str], bool], after: Cut | None = None
) -> Iterator[tuple[Chunk, Cut]]:
    """The chunks of `split`, each with the cut after it. With one of these cuts as `after`, and the pages from its page
    on, the chunks that follow it are yielded, the same in every byte.

    They are the same because the text that decides a cut starts less than `least` characters and a margin before it,
    and `after` names a page that begins before that text.
    """
    window = Window(pages)
    greatest = largest - overlap
    least = max(1, greatest * 2 // 5)
    behind = max(overlap, least) + MARGIN
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


def _cores(window: Window, least: int, greatest: int, start: int) -> Iterator[tuple[int, int]]:
    """The start and the end of each core, from the core at `start` on."""
    landmarks: deque[int] = deque()
    decided = start + least
    while True:
        window.fill(start + greatest + 2 * least + CONTEXT + 1)
        # A boundary at the very end of what is in memory would be hashed without what follows it.
        known = window.end - least - (0 if window.ended else CONTEXT)
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


def _landmarks(window: Window, start: int, end: int, reach: int) -> list[int]:
    """The landmarks within [start, end), ascending: boundaries that are the best within `reach` on either side."""
    found: list[int] = []
    gaps = [(start, end)]
    for level in LEVELS:
        undecided, gaps = gaps, []
        for low, high in undecided:
            rivals = window.boundaries(level, low - reach, high + reach)
            found += (position for position in _dominant(window, rivals, reach) if low <= position < high)
            gaps += _uncovered(low, high, rivals, reach)
    return sorted(found)


def _dominant(window: Window, rivals: Iterable[int], reach: int) -> Iterator[int]:
    """The positions whose hash is the greatest within `reach` on either side. Positions are given and yielded
    ascending."""
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
    """The parts of [low, high) that are further than `reach` from all of these positions."""
    for position in rivals:
        if position - reach > low:
            yield low, min(position - reach, high)
        low = max(low, position + reach + 1)
    if low < high:
        yield low, high


def _best(window: Window, low: int, high: int) -> int:
    """The best boundary within [low, high], both included. Among equals it is the last one."""
    for level in LEVELS:
        rivals = window.boundaries(level, low, high + 1)
        if rivals:
            return max(rivals, key=lambda position: (window.hash(position), position))
    return window.anywhere(low, high)


def _fitting(
    window: Window, start: int, end: int, overlap: int, fits: Callable[[str], bool]
) -> Iterator[tuple[int, int, int]]:
    """The core, or the pieces of it that fit. Each is where its chunk begins, where its core begins, and where both
    end."""
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


def _overlap(window: Window, start: int, overlap: int) -> int:
    """The position where the overlap before `start` begins: at a sentence, else at a word, else anywhere."""
    low = max(0, start - overlap)
    if low == 0 or overlap == 0:
        return low if overlap else start
    for level, high in ((SENTENCE, start - overlap // 2), (WORD, start)):
        found = window.boundaries(level, low, high)
        if found:
            return found[0]
    return window.anywhere(low, low)
