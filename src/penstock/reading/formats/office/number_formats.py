"""Number formats: what a cell with a number shows in a workbook: a date, a time, a percentage, or a number."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from penstock.reading.text.xml_stream import number_in

_LITERAL = re.compile(r'"[^"]*"|\\.|_.|\*.|\[[^\]]*\]')
"""The pieces of a number format that are not codes match this."""
_BUILTIN = {
    **dict.fromkeys((9, 10), "percent"),
    **dict.fromkeys((14, 15, 16, 17, 27, 30, 36, 50, 57), "date"),
    **dict.fromkeys((18, 19, 20, 21, 45, 47), "time"),
    22: "moment",
    46: "hours",
}
"""What is shown by the number formats that every workbook has (ECMA-376, part 1, 18.8.30)."""
_CLOCKS = {"date": "%Y-%m-%d", "time": "%H:%M:%S", "moment": "%Y-%m-%d %H:%M:%S", "hours": ""}
_HOURS = re.compile(r"\[[hms]+\]", re.IGNORECASE)
"""The code of a number format that shows a length of time."""
_ZEROS = re.compile(r"0{2,15}")
"""A number format with a minimum number of digits, as for postcodes."""
_EXACT = 2**53
"""Whole numbers below this one are exact as a float, and are written with all of their digits."""


def builtin_kind(number: str) -> str:
    """The kind of a format that every workbook has, by its number."""
    return _BUILTIN.get(number_in(number), "")


def kind_of(code: str) -> str:
    """The kind of a format, by its code: `date`, `time`, `moment`, `hours`, `percent`, or as many zeros as a number has
    digits at least. It is empty for any other format, whose numbers are shown as they are."""
    first = code.partition(";")[0]
    if _HOURS.search(first):
        return "hours"
    bare = _LITERAL.sub("", first).lower()
    day, time = re.search(r"[yd]", bare), re.search(r"[hs]", bare)
    if time:
        return "moment" if day else "time"
    if day or "m" in bare:
        return "date"
    return bare if _ZEROS.fullmatch(bare) else "percent" if "%" in bare else ""


def formatted(value: str, kind: str, epoch: datetime) -> str:
    """The value of a cell as a format of this kind shows it.

    Args:
        epoch: the day from which dates are counted.
    """
    if not kind and value.isdigit():
        return value
    try:
        number = float(value)
        if kind in _CLOCKS:
            return _dated(epoch, number, kind)
        if kind == "percent":
            return f"{number * 100:.10g}%"
        if kind and number.is_integer():
            return f"{int(number):0{len(kind)}}"
        return f"{number:.0f}" if number.is_integer() and abs(number) < _EXACT else f"{number:.15g}"
    except (ValueError, OverflowError):
        return value


def _dated(epoch: datetime, days: float, kind: str) -> str:
    seconds = round(days * 86_400)
    if kind == "hours":
        minutes, seconds = divmod(abs(seconds), 60)
        return f"{'-' * (days < 0)}{minutes // 60}:{minutes % 60:02}:{seconds:02}"
    if days < 1:
        kind = "time"
    elif kind == "moment" and days == int(days):
        kind = "date"
    return f"{epoch + timedelta(seconds=seconds):{_CLOCKS[kind]}}"
