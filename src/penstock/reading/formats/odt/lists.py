"""Lists: the numbers of an OpenDocument text's lists and headings. The file does not hold these numbers, but only says
how they are counted (OpenDocument 1.3, part 3, 5.3 and 16.30)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from penstock.reading.formats.office.numbering import Form, letters, roman, written
from penstock.reading.text.xml_stream import number_in

LIST_ELEMENTS = frozenset({
    "list-style", "outline-style", "list-level-style-number", "outline-level-style", "list", "list-item",
})  # fmt: skip
"""The elements that `Lists` takes."""
_FORMATS: dict[str, Form] = {
    "a": letters,
    "A": lambda number: letters(number).upper(),
    "i": roman,
    "I": lambda number: roman(number).upper(),
}
_DEEPEST = 10
"""The maximum number of levels that are counted apart."""


@dataclass(frozen=True, slots=True)
class _Level:
    """How the numbers of one level of a list look."""

    format: str
    """The key of `_FORMATS`. Any other format is decimal. It is empty if the level is not numbered."""
    prefix: str
    suffix: str
    start: int
    shown: int
    """The number of levels whose counts are shown, its own included: 2.1.3 shows three."""


_Levels = dict[int, _Level]


class Lists:
    """Counts the items of lists and the headings, element by element."""

    def __init__(self) -> None:
        self._styles: dict[str, _Levels] = {}
        self._headings: _Levels = {}
        """The style of the headings' numbers."""
        self._style: _Levels = {}
        """The style that is being read."""
        self._open: list[str] = []
        """The styles of the open lists, each of which stands in the one before."""
        self._counts: dict[int, int] = {}
        """The last number of each level of the open lists."""
        self._ended: dict[str, dict[int, int]] = {}
        """The last numbers of the last list of each style, from which another list may go on."""
        self._heading_counts: dict[int, int] = {}
        self._label = ""
        """The number of the open list item, until a paragraph has taken it."""

    def take(self, event: str, name: str, attributes: Mapping[str, str]) -> None:
        match event, name:
            case "start", "list-style":
                self._style = self._styles[attributes.get("name", "")] = {}
            case "start", "outline-style":
                self._style = self._headings
            case "start", "list-level-style-number" | "outline-level-style":
                self._style[number_in(attributes.get("level"), 1)] = _Level(
                    attributes.get("num-format", ""),
                    attributes.get("num-prefix", ""),
                    attributes.get("num-suffix", ""),
                    number_in(attributes.get("start-value"), 1),
                    number_in(attributes.get("display-levels"), 1),
                )
            case "start", "list":
                self._start_list(attributes)
            case "end", "list" if self._open:
                self._ended[self._open.pop()] = self._counts
            case "start", "list-item" if self._open:
                levels = self._styles.get(self._open[-1], {})
                depth = min(len(self._open), _DEEPEST)
                self._label = _next(levels, self._counts, depth, attributes.get("start-value"))
            case "end", "list-item":
                self._label = ""

    def label(self, heading: int) -> str:
        """The number of the paragraph that ends now. The first paragraph of a list item may have one, and so may a
        heading outside of lists.

        Args:
            heading: the level of the paragraph, if it is a heading, or else 0.
        """
        label, self._label = self._label, ""
        if label or not heading or self._open:
            return label
        return _next(self._headings, self._heading_counts, min(heading, _DEEPEST))

    def _start_list(self, attributes: Mapping[str, str]) -> None:
        style = attributes.get("style-name") or (self._open[-1] if self._open else "")
        self._open.append(style)
        if len(self._open) > 1:
            self._counts.pop(min(len(self._open), _DEEPEST), None)
        elif attributes.get("continue-numbering") == "true" or "continue-list" in attributes:
            self._counts = self._ended.get(style, {})
        else:
            self._counts = {}


def _next(levels: _Levels, counts: dict[int, int], depth: int, start: str | None = None) -> str:
    """Count one more item at this depth, and return its number as it is shown.

    Args:
        start: the number of the item, if it says one.
    """
    level = levels.get(depth)
    first = level.start if level else 1
    counts[depth] = number_in(start, counts.get(depth, first - 1) + 1)
    for deeper in [other for other in counts if other > depth]:
        del counts[deeper]
    if level is None or not level.format:
        return ""
    shown = range(max(1, depth - level.shown + 1), depth + 1)
    forms = ((levels.get(each, level).format, counts.get(each, 1)) for each in shown)
    numbers = (written(count, _FORMATS.get(form, str)) for form, count in forms if form)
    return f"{level.prefix}{'.'.join(numbers)}{level.suffix}".strip()
