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
"""The maximum number of styles that are each based on the next. In a damaged file they may form a circle."""


@dataclass(frozen=True, slots=True)
class Styles:
    """What the styles say about their paragraphs, by the id of the style."""

    levels: Mapping[str, int] = field(default_factory=dict)
    """The heading levels, from 1. The level is 0 for styles that are no headings."""
    numbers: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """The list that counts the paragraphs, and their level in it, which is empty if the style does not name one."""


def styles_in(elements: Iterable[Element]) -> Styles:
    """The styles of a document. A style has the level and the list of the one that it is based on, unless it names its
    own."""
    own = _OwnProperties()
    style = ""
    for event, name, attributes in elements:
        if event == "start" and name == "style":
            style = attributes.get("styleId", "")
        elif event == "start" and style:
            own.take(style, name, attributes.get("val", ""))
    levels = {each: _inherited(own.levels, own.based, each) or 0 for each in {*own.based, *own.levels}}
    numbers = {}
    if own.lists:
        for each in {*own.based, *own.lists}:
            if list_ := _inherited(own.lists, own.based, each):
                numbers[each] = (list_, _inherited(own.list_levels, own.based, each) or "")
    return Styles(levels | own.titles, numbers)


def level_of(outline: int) -> int:
    """The heading level of an outline level. Outline levels count from 0, and 9 is body text."""
    return outline + 1 if outline < _DEEPEST else 0


class _OwnProperties:
    """What each style says itself, without what it inherits."""

    def __init__(self) -> None:
        self.based: dict[str, str] = {}
        self.levels: dict[str, int] = {}
        self.titles: dict[str, int] = {}
        """The levels of styles that are titles. Styles which are based on these, such as subtitles, do not inherit
        them."""
        self.lists: dict[str, str] = {}
        self.list_levels: dict[str, str] = {}

    def take(self, style: str, name: str, value: str) -> None:
        match name:
            case "name" if value.lower() == "title":
                self.titles[style] = 1
            case "name" if heading := _HEADING.match(value):
                self.levels[style] = int(heading[1])
            case "basedOn":
                self.based[style] = value
            case "outlineLvl":
                self.levels.setdefault(style, level_of(number_in(value, _DEEPEST)))
            case "numId":
                self.lists[style] = value
            case "ilvl":
                self.list_levels[style] = value


def _inherited(known: Mapping[str, _T], based: Mapping[str, str], style: str) -> _T | None:
    for _ in range(_LONGEST_WAY):
        if style in known or style not in based:
            break
        style = based[style]
    return known.get(style)
