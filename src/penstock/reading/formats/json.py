"""JSON and JSON lines: each value becomes a line, which starts with the path of names that leads to the value."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from penstock.reading.format import Format, Look, Match
from penstock.reading.formats.text import open_text, parts
from penstock.reading.kinds import JSON
from penstock.reading.protocol import Opened, Read, Text, Warned
from penstock.reading.source import Source
from penstock.reading.text.encoding import encoding_of
from penstock.reading.text.flow import Flow

_BEGINS = re.compile(rb"^\s*(?:[\[{\"]|-?\d|true|false|null)")
_SPACE = re.compile(r"\s*")
_STRICT = msgspec.json.Decoder(float_hook=str)
_NAMED_LINES = 20
"""The maximum number of unreadable lines that are named one by one."""
_MOST_BROKEN = 1000
"""Once the unreadable lines outnumber the readable ones by more than this, the rest of the file is not tried."""


def match(look: Look) -> Match:
    return Match.PERHAPS if _BEGINS.match(look.text) else Match.NO


def read(source: Source) -> Iterator[Read]:
    encoding = encoding_of(source)
    yield Opened("json", "msgspec", paged=False)
    with open_text(source, encoding) as stream:
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
    """The value, with numbers to their last digit.

    Raises:
        ValueError: the content is not JSON.
    """
    try:
        return _STRICT.decode(content)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        pass
    try:  # NaN, lone surrogates and line ends within strings are not JSON, but many programs write them
        return json.loads(content, strict=False, parse_float=str, parse_int=str, parse_constant=str)
    except RecursionError as error:
        raise ValueError from error


def _lines(source: Source, content: str) -> Iterator[Read]:
    """Read line by line, or value by value, what is not JSON as a whole. What is neither is read as plain text."""
    lines = [line for line in content.split("\n") if line.strip()]
    flow, broken = Flow(), list[int]()
    values: list[tuple[int, Any]] = []
    for number, line in enumerate(lines, 1):
        try:
            values.append((number, _parsed(line)))
        except ValueError:
            broken.append(number)
            if len(broken) > len(values) + _MOST_BROKEN:
                break
    if len(broken) > len(values) and (others := _values_in_a_row(content)):
        values, broken = list(enumerate(others)), []
    if len(broken) > len(values):
        yield Warned("It is not valid JSON, and was read as plain text.")
        with open_text(source, encoding_of(source)) as stream:
            for number, part in enumerate(parts(stream), 1):
                yield Text(number, part)
        return
    for _, value in values:
        for _ in _write(value, flow):
            yield from flow.full()
        flow.close_table()
    yield from flow.rest()
    for number in broken[:_NAMED_LINES]:
        yield Text(flow.number, "", problem=f"line {number} is not valid")
        flow.skip(1)


def _values_in_a_row(content: str) -> list[Any]:
    """The values of a file that consists of values with at most blanks between them. Of any other file, no values."""
    decoder = json.JSONDecoder(strict=False, parse_float=str, parse_int=str, parse_constant=str)
    values: list[Any] = []
    position = _after_blanks(content, 0)
    try:
        while position < len(content):
            value, end = decoder.raw_decode(content, position)
            values.append(value)
            position = _after_blanks(content, end)
    except (ValueError, RecursionError):
        return []
    return values


def _after_blanks(content: str, position: int) -> int:
    found = _SPACE.match(content, position)
    return found.end() if found else position


def _write(value: Any, flow: Flow) -> Iterator[None]:
    """Write a value, and yield after each part of it. Nested values are walked without recursion."""
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
                text = value if isinstance(value, str) else json.dumps(value)
                flow.line(f"{path}: {text}" if path else text)
        yield


FORMAT = Format(JSON, match=match, read=read)
