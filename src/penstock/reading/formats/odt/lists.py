"""Lists: the numbers of an OpenDocument text's lists and headings. The file has none of them: it says how they are
counted (OpenDocument 1.3, part 3, 5.3 and 16.30)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from penstock.reading.formats.office.numbering import Form, letters, roman, told
from penstock.reading.text.xml_stream import number_in

TAKEN = frozenset({
    "list-style", "outline-style", "list-level-style-number", "outline-level-style", "list", "list-item",
})  # fmt: skip
"""The elements that are told to `Lists`."""
_FORMATS: dict[str, Form] = {
    "a": letters,
    "A": lambda number: letters(number).upper(),
    "i": roman,
    "I": lambda number: roman(number).upper(),
}
_DEEPEST = 10


@dataclass(frozen=True, slots=True)
class _Level:
    format: str
    """Nothing where it is not numbered."""
    before: str
    behind: str
    start: int
    shown: int
    """How many levels' numbers it shows, its own included."""


_Levels = dict[int, _Level]


class Lists:
    """Counts, element by element."""

    def __init__(self) -> None:
        self._styles: dict[str, _Levels] = {}
        self._headings: _Levels = {}
        self._told: _Levels = {}
        """The style that is being read."""
        self._open: list[str] = []
        """The styles of the lists that are open, one in the other."""
        self._counts: dict[int, int] = {}
        self._ended: dict[str, dict[int, int]] = {}
        """How far the last list of each style came."""
        self._sections: dict[int, int] = {}
        self._label = ""

    def take(self, event: str, name: str, given: Mapping[str, str]) -> None:
        match event, name:
            case "start", "list-style":
                self._told = self._styles[given.get("name", "")] = {}
            case "start", "outline-style":
                self._told = self._headings
            case "start", "list-level-style-number" | "outline-level-style":
                self._told[number_in(given.get("level"), 1)] = _Level(
                    given.get("num-format", ""),
                    given.get("num-prefix", ""),
                    given.get("num-suffix", ""),
                    number_in(given.get("start-value"), 1),
                    number_in(given.get("display-levels"), 1),
                )
            case "start", "list":
                self._begin(given)
            case "end", "list" if self._open:
                self._ended[self._open.pop()] = self._counts
            case "start", "list-item" if self._open:
                levels = self._styles.get(self._open[-1], {})
                place = min(len(self._open), _DEEPEST)
                self._label = _next(levels, self._counts, place, given.get("start-value"))
            case "end", "list-item":
                self._label = ""

    def label(self, heading: int) -> str:
        """That of the paragraph that ends, or of the heading of this level: the first of its item has one."""
        label, self._label = self._label, ""
        if label or not heading or self._open:
            return label
        return _next(self._headings, self._sections, min(heading, _DEEPEST))

    def _begin(self, given: Mapping[str, str]) -> None:
        style = given.get("style-name") or (self._open[-1] if self._open else "")
        self._open.append(style)
        if len(self._open) > 1:
            self._counts.pop(min(len(self._open), _DEEPEST), None)
        elif given.get("continue-numbering") == "true" or "continue-list" in given:
            self._counts = self._ended.get(style, {})
        else:
            self._counts = {}


def _next(levels: _Levels, counts: dict[int, int], place: int, start: str | None = None) -> str:
    level = levels.get(place)
    begin = level.start if level else 1
    counts[place] = number_in(start, counts.get(place, begin - 1) + 1)
    for deeper in [other for other in counts if other > place]:
        del counts[deeper]
    if level is None or not level.format:
        return ""
    shown = range(max(1, place - level.shown + 1), place + 1)
    forms = ((levels.get(each, level).format, counts.get(each, 1)) for each in shown)
    numbers = (told(count, _FORMATS.get(form, str)) for form, count in forms if form)
    return f"{level.before}{'.'.join(numbers)}{level.behind}".strip()
