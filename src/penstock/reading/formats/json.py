"""JSON and JSON lines: each value on a line, behind the path of names that leads to it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from penstock.domain.errors import Unreadable
from penstock.reading.format import Format, Look, Match
from penstock.reading.formats.text import opened, parts
from penstock.reading.kinds import JSON
from penstock.reading.protocol import Opened, Read, Text, Warned
from penstock.reading.source import Source
from penstock.reading.text.encoding import encoding_of
from penstock.reading.text.flow import Flow

_TITLE = JSON.title
_BEGINS = re.compile(rb"^\s*(?:[\[{\"]|-?\d|true|false|null)")
_SPACE = re.compile(r"\s*")
_STRICT = msgspec.json.Decoder(float_hook=str)
_UNREADABLE_LINES = 20
"""That are named one by one."""
_HOPELESS = 1000
"""More lines that are none than lines that are: it is no JSON."""


def match(look: Look) -> Match:
    return Match.PERHAPS if _BEGINS.match(look.text) else Match.NO


def read(source: Source) -> Iterator[Read]:
    encoding = encoding_of(source)
    yield Opened("json", "msgspec", paged=False)
    with opened(source, encoding) as stream:
        content = stream.read()
    flow = Flow()
    try:
        value = _parsed(content)
    except ValueError:
        yield from _lines(source, content)
        return
    for _ in _write(value, flow):
        yield from flow.full()
    yield from flow.rest()


def _parsed(content: str) -> Any:
    """Its numbers to the last digit.

    Raises:
        ValueError: it is no JSON.
    """
    try:
        return _STRICT.decode(content)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        pass
    try:  # NaN, halves of characters, line ends within strings: no JSON, but much that writes JSON writes them
        return json.loads(content, strict=False, parse_float=str, parse_int=str, parse_constant=str)
    except RecursionError as error:
        raise ValueError from error


def _lines(source: Source, content: str) -> Iterator[Read]:
    """What is no JSON as a whole may be so line by line; else it is read as plain text."""
    lines = [line for line in content.split("\n") if line.strip()]
    flow, broken = Flow(), list[int]()
    values: list[tuple[int, Any]] = []
    for number, line in enumerate(lines, 1):
        try:
            values.append((number, _parsed(line)))
        except ValueError:
            broken.append(number)
            if len(broken) > len(values) + _HOPELESS:
                break
    if len(broken) > len(values) and (others := _in_turn(content)):
        values, broken = list(enumerate(others)), []
    if len(broken) > len(values):
        yield Warned("It is not valid JSON, and was read as plain text.")
        with opened(source, encoding_of(source)) as stream:
            for number, part in enumerate(parts(stream), 1):
                yield Text(number, part)
        return
    for _, value in values:
        for _ in _write(value, flow):
            yield from flow.full()
        flow.close_table()
    yield from flow.rest()
    for number in broken[:_UNREADABLE_LINES]:
        problem = Unreadable(kind=_TITLE, why=f"line {number} is not valid").facts["why"]
        yield Text(flow.number, "", problem=str(problem))
        flow.skip(1)


def _in_turn(content: str) -> list[Any]:
    """Values one behind the other, with no more than blanks between; none where it is anything else."""
    decoder = json.JSONDecoder(strict=False, parse_float=str, parse_int=str, parse_constant=str)
    values: list[Any] = []
    place = _past_blanks(content, 0)
    try:
        while place < len(content):
            value, end = decoder.raw_decode(content, place)
            values.append(value)
            place = _past_blanks(content, end)
    except (ValueError, RecursionError):
        return []
    return values


def _past_blanks(content: str, place: int) -> int:
    found = _SPACE.match(content, place)
    return found.end() if found else place


def _write(value: Any, flow: Flow) -> Iterator[None]:
    """A step after each line. What is nested is walked without recursion."""
    waiting: list[tuple[str, Any]] = [("", value)]
    while waiting:
        path, value = waiting.pop()
        match value:
            case dict():
                inner = [(f"{path}.{key}" if path else key, each) for key, each in value.items()]
                waiting += reversed(inner)
            case list():
                waiting += [(path, each) for each in reversed(value)]
            case None:
                continue
            case _:
                said = value if isinstance(value, str) else json.dumps(value)
                flow.line(f"{path}: {said}" if path else said)
        yield


FORMAT = Format(JSON, match=match, read=read)
