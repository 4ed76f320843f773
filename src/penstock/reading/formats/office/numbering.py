"""Numbering: the numbers of lists and headings of a Word document. The file does not hold these numbers, but only says
how they are counted (ECMA-376, part 1, 17.9)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from penstock.reading.text.xml_stream import Element, number_in

_PLACE = re.compile(r"%([1-9])")
_ROMAN = ((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"), (10, "x"),
          (9, "ix"), (5, "v"), (4, "iv"), (1, "i"))  # fmt: skip
_TAKEN = frozenset({
    "abstractNum", "num", "lvlOverride", "lvl", "startOverride", "abstractNumId", "styleLink", "numStyleLink", "pStyle",
    "start", "numFmt", "lvlText", "isLgl",
})  # fmt: skip
_DEEPEST = 9
_LARGEST = 5000
"""Numbers from this one on are always written as decimals: as letters or Roman numerals they would be absurdly long."""


def letters(number: int) -> str:
    """The number in letters. After z comes aa, then bb."""
    return chr(ord("a") + (number - 1) % 26) * ((number - 1) // 26 + 1)


def roman(number: int) -> str:
    numeral = ""
    for value, sign in _ROMAN:
        numeral += sign * (number // value)
        number %= value
    return numeral


Form = Callable[[int], str]
"""How a number is written, such as in letters."""


def written(number: int, form: Form) -> str:
    """The number in this form, or as a decimal if it has none in this form, or one that is too long."""
    return form(number) if 0 < number < _LARGEST else str(number)


_FORMATS: dict[str, Form] = {
    "decimalZero": lambda number: f"{number:02}",
    "lowerLetter": letters,
    "upperLetter": lambda number: letters(number).upper(),
    "lowerRoman": roman,
    "upperRoman": lambda number: roman(number).upper(),
    "none": lambda _: "",
}
"""Numbers of any other format are written as decimals."""


@dataclass(slots=True)
class _Level:
    """How one level of a list is counted, and how its numbers look."""

    start: int = 1
    format: str = "decimal"
    text: str = ""
    """What is shown, with %1 in the place of the number of the first level, and so on."""
    decimal: bool = False
    """Whether the numbers of all levels are written as decimals here."""

    def take(self, name: str, value: str) -> None:
        match name:
            case "start":
                self.start = number_in(value)
            case "numFmt":
                self.format = value
            case "lvlText":
                self.text = value
            case "isLgl":
                self.decimal = value not in {"0", "false"}


@dataclass(slots=True)
class _Scheme:
    """How the levels of a list are counted."""

    levels: dict[int, _Level] = field(default_factory=dict)
    counts: dict[int, int] = field(default_factory=dict)
    """The last number of each level. All lists of the scheme share these numbers."""
    by_style: dict[str, int] = field(default_factory=dict)
    """The levels of paragraphs that have a certain style, by the style."""
    same_as: str = ""
    """The style whose scheme is to be used in the place of this one. It is empty for a scheme of its own."""

    def take(self, name: str, value: str, place: int) -> None:
        if name == "numStyleLink":
            self.same_as = value
        elif name == "pStyle":
            self.by_style[value] = place


@dataclass(slots=True)
class _List:
    """A list, which is counted by a scheme."""

    scheme: str = ""
    levels: dict[int, _Level] = field(default_factory=dict)
    """The levels that are counted in another way than in the scheme."""
    starts: dict[int, int] = field(default_factory=dict)
    """The first numbers of the levels that are counted from the start in this list."""
    started: bool = False
    """Whether an item of the list was counted."""


class Numbering:
    """Counts the numbered paragraphs of a document, one by one."""

    def __init__(self, elements: Iterable[Element]) -> None:
        self._schemes: dict[str, _Scheme] = {}
        self._lists: dict[str, _List] = {}
        self._of_styles: dict[str, _Scheme] = {}
        scheme, current, level, place = _Scheme(), _List(), _Level(), 0
        levels = scheme.levels
        for event, name, attributes in elements:
            if event != "start" or name not in _TAKEN:
                continue
            value = attributes.get("val", "")
            match name:
                case "abstractNum":
                    scheme = self._schemes[attributes.get("abstractNumId", "")] = _Scheme()
                    levels = scheme.levels
                case "num":
                    current = self._lists[attributes.get("numId", "")] = _List()
                    levels = current.levels
                case "lvlOverride" | "lvl":
                    place = min(number_in(attributes.get("ilvl")), _DEEPEST)
                    if name == "lvl":
                        level = levels[place] = _Level()
                case "startOverride":
                    current.starts[place] = number_in(value)
                case "abstractNumId":
                    current.scheme = value
                case "styleLink":
                    self._of_styles[value] = scheme
                case _:
                    scheme.take(name, value, place)
                    level.take(name, value)

    def level_of(self, number: str, style: str) -> int:
        """The level that a paragraph of this style has in this list, if it does not name one."""
        scheme = self._scheme(self._lists.get(number, _List()))
        return scheme.by_style.get(style, 0) if scheme else 0

    def next(self, number: str, place: int) -> str:
        """Count the next paragraph of this list at this level, and return its number as it is shown. It is empty for a
        bullet."""
        current = self._lists.get(number)
        scheme = self._scheme(current) if current else None
        if current is None or scheme is None:
            return ""
        levels = scheme.levels | current.levels
        counts = scheme.counts
        if not current.started:
            current.started = True
            counts.update({level: start - 1 for level, start in current.starts.items()})
        for above in range(place):
            counts.setdefault(above, levels[above].start if above in levels else 1)
        level = levels.get(place, _Level())
        counts[place] = counts[place] + 1 if place in counts else level.start
        for deeper in [other for other in counts if other > place]:
            del counts[deeper]
        if level.format == "bullet":
            return ""

        def number_at(found: re.Match[str]) -> str:
            other = int(found[1]) - 1
            form = "decimal" if level.decimal else levels.get(other, level).format
            count = counts.get(other, 0)
            return written(count, _FORMATS.get(form, str))

        return _PLACE.sub(number_at, level.text).strip()

    def _scheme(self, of: _List) -> _Scheme | None:
        scheme = self._schemes.get(of.scheme)
        return self._of_styles.get(scheme.same_as, scheme) if scheme else None
