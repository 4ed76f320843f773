"""Bookmarks: the outline of a PDF, from which the sections of its pages are made."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

from msgspec.structs import replace

from penstock.reading.protocol import Read, Text
from penstock.reading.text.characters import label


class Bookmarks:
    """The outline that a viewer shows beside the pages. Its titles are those of the sections."""

    def __init__(self, entries: Iterable[tuple[int, int, str]] = ()) -> None:
        """
        Args:
            entries: the page number, level and title of each bookmark, in their order.
        """
        self._by_page: dict[int, list[tuple[int, str]]] = {}
        for page, level, title in entries:
            if title := label(title):
                self._by_page.setdefault(page, []).append((level, title))
        self._pages = sorted(self._by_page)
        self._paths: dict[int, list[tuple[int, str]]] = {}
        """The path of bookmarks that are open at the end of each page on which a bookmark starts."""
        path: list[tuple[int, str]] = []
        for page in self._pages:
            for entry in self._by_page[page]:
                path = [*(each for each in path if each[0] < entry[0]), entry]
            self._paths[page] = path

    def on(self, frame: Read) -> Read:
        """The same page with its sections. A section starts where its title stands on the page, or at the start of the
        page if the title is not found there."""
        if not isinstance(frame, Text) or not frame.text or not self._pages:
            return frame
        before = bisect_left(self._pages, frame.number)
        path = self._paths[self._pages[before - 1]] if before else []
        sections = {0: _titles(path)} if path else {}
        place = 0
        for entry in self._by_page.get(frame.number, ()):
            path = [*(each for each in path if each[0] < entry[0]), entry]
            place = max(place, frame.text.find(entry[1], place))
            sections[place] = _titles(path)
        return replace(frame, sections=tuple(sections.items()))


def _titles(path: list[tuple[int, str]]) -> tuple[str, ...]:
    return tuple(title for _, title in path)
