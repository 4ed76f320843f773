"""Numbering: the numbers of lists and headings of a Word document. The file has none of them: it says how they are
counted (ECMA-376, part 1, 17.9)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from penstock.reading.text.xml_stream import Element, number_in

_PLACE = re.compile(r"%([1-9])")
_ROMAN = ((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"), (10, "x"),
          (9, "ix"), (5, "v"), (4, "iv"), (1, "i"))  # fmt: skip
_SAID = frozenset({
    "abstractNum", "num", "lvlOverride", "lvl", "startOverride", "abstractNumId", "styleLink", "numStyleLink", "pStyle",
    "start", "numFmt", "lvlText", "isLgl",
})  # fmt: skip
_DEEPEST = 9
_LARGEST = 5000
"""Of a number that is told in letters."""


def letters(number: int) -> str:
    """After z comes aa, then bb."""
    return chr(ord("a") + (number - 1) % 26) * ((number - 1) // 26 + 1)


def roman(number: int) -> str:
    said = ""
    for value, letters in _ROMAN:
        said += letters * (number // value)
        number %= value
    return said


Form = Callable[[int], str]
"""How a number is told."""


def told(number: int, form: Form) -> str:
    """In this form; as a decimal where there is none for it, or it would be absurdly long."""
    return form(number) if 0 < number < _LARGEST else str(number)


_FORMATS: dict[str, Form] = {
    "decimalZero": lambda number: f"{number:02}",
    "lowerLetter": letters,
    "upperLetter": lambda number: letters(number).upper(),
    "lowerRoman": roman,
    "upperRoman": lambda number: roman(number).upper(),
    "none": lambda _: "",
}
"""All others are told as decimals."""


@dataclass(slots=True)
class _Level:
    start: int = 1
    format: str = "decimal"
    text: str = ""
    """With %1 for the number of the first level, and so on."""
    decimal: bool = False
    """Whether the numbers of all levels are told as decimals here."""

    def take(self, name: str, said: str) -> None:
        match name:
            case "start":
                self.start = number_in(said)
            case "numFmt":
                self.format = said
            case "lvlText":
                self.text = said
            case "isLgl":
                self.decimal = said not in {"0", "false"}


@dataclass(slots=True)
class _Scheme:
    """How the levels of a list are counted."""

    levels: dict[int, _Level] = field(default_factory=dict)
    counts: dict[int, int] = field(default_factory=dict)
    """How far they are: all lists of this scheme go on counting."""
    by_style: dict[str, int] = field(default_factory=dict)
    """Levels that are those of paragraphs of a style."""
    same_as: str = ""
    """The style whose scheme this one is."""

    def take(self, name: str, said: str, place: int) -> None:
        if name == "numStyleLink":
            self.same_as = said
        elif name == "pStyle":
            self.by_style[said] = place


@dataclass(slots=True)
class _List:
    scheme: str = ""
    levels: dict[int, _Level] = field(default_factory=dict)
    """That it counts in another way than its scheme."""
    starts: dict[int, int] = field(default_factory=dict)
    """Levels that begin anew with it."""
    begun: bool = False


class Numbering:
    """Counts, paragraph by paragraph."""

    def __init__(self, elements: Iterable[Element]) -> None:
        self._schemes: dict[str, _Scheme] = {}
        self._lists: dict[str, _List] = {}
        self._of_styles: dict[str, _Scheme] = {}
        scheme, each, level, place = _Scheme(), _List(), _Level(), 0
        levels = scheme.levels
        for event, name, given in elements:
            if event != "start" or name not in _SAID:
                continue
            said = given.get("val", "")
            match name:
                case "abstractNum":
                    scheme = self._schemes[given.get("abstractNumId", "")] = _Scheme()
                    levels = scheme.levels
                case "num":
                    each = self._lists[given.get("numId", "")] = _List()
                    levels = each.levels
                case "lvlOverride" | "lvl":
                    place = min(number_in(given.get("ilvl")), _DEEPEST)
                    if name == "lvl":
                        level = levels[place] = _Level()
                case "startOverride":
                    each.starts[place] = number_in(said)
                case "abstractNumId":
                    each.scheme = said
                case "styleLink":
                    self._of_styles[said] = scheme
                case _:
                    scheme.take(name, said, place)
                    level.take(name, said)

    def level_of(self, number: str, style: str) -> int:
        """That a paragraph of this style has in this list, where it does not say."""
        scheme = self._scheme(self._lists.get(number, _List()))
        return scheme.by_style.get(style, 0) if scheme else 0

    def next(self, number: str, place: int) -> str:
        """That of the next paragraph at this level, as it is shown; nothing for a bullet."""
        each = self._lists.get(number)
        scheme = self._scheme(each) if each else None
        if each is None or scheme is None:
            return ""
        levels = scheme.levels | each.levels
        counts = scheme.counts
        if not each.begun:
            each.begun = True
            counts.update({level: start - 1 for level, start in each.starts.items()})
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
            return told(count, _FORMATS.get(form, str))

        return _PLACE.sub(number_at, level.text).strip()

    def _scheme(self, each: _List) -> _Scheme | None:
        scheme = self._schemes.get(each.scheme)
        return self._of_styles.get(scheme.same_as, scheme) if scheme else None
