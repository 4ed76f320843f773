"""Styles: which paragraphs of a Word document are headings by their style, and which are numbered by it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from penstock.reading.text.xml_stream import Element, number_in

_T = TypeVar("_T")
_HEADING = re.compile(r"heading (\d)$", re.IGNORECASE)
_DEEPEST = 9
_LONGEST_WAY = 50
"""Of styles that are each based on the next; they may go round in a circle."""


@dataclass(frozen=True, slots=True)
class Styles:
    """What they say of their paragraphs, by id."""

    levels: Mapping[str, int] = field(default_factory=dict)
    """Of headings, from 1; 0 for others."""
    numbers: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """The list that counts them, and the level in it where it is said."""


def styles_in(elements: Iterable[Element]) -> Styles:
    """A style has the level and the list of the one that it is based on, unless it says."""
    said = _Said()
    style = ""
    for event, name, given in elements:
        if event == "start" and name == "style":
            style = given.get("styleId", "")
        elif event == "start" and style:
            said.take(style, name, given.get("val", ""))
    levels = {each: _inherited(said.levels, said.based, each) or 0 for each in {*said.based, *said.levels}}
    numbers = {}
    if said.lists:
        for each in {*said.based, *said.lists}:
            if counted := _inherited(said.lists, said.based, each):
                numbers[each] = (counted, _inherited(said.places, said.based, each) or "")
    return Styles(levels | said.titles, numbers)


def level_of(outline: int) -> int:
    """Outline levels count from 0; 9 is body text."""
    return outline + 1 if outline < _DEEPEST else 0


class _Said:
    """What each style says of itself."""

    def __init__(self) -> None:
        self.based: dict[str, str] = {}
        self.levels: dict[str, int] = {}
        self.titles: dict[str, int] = {}
        """Not of what is based on them: subtitles, authors."""
        self.lists: dict[str, str] = {}
        self.places: dict[str, str] = {}

    def take(self, style: str, name: str, said: str) -> None:
        match name:
            case "name" if said.lower() == "title":
                self.titles[style] = 1
            case "name" if heading := _HEADING.match(said):
                self.levels[style] = int(heading[1])
            case "basedOn":
                self.based[style] = said
            case "outlineLvl":
                self.levels.setdefault(style, level_of(number_in(said, _DEEPEST)))
            case "numId":
                self.lists[style] = said
            case "ilvl":
                self.places[style] = said


def _inherited(known: Mapping[str, _T], based: Mapping[str, str], style: str) -> _T | None:
    for _ in range(_LONGEST_WAY):
        if style in known or style not in based:
            break
        style = based[style]
    return known.get(style)
