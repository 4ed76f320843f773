"""Numbers as ranges: 1, 2, 3, 7 is '1-3,7'."""

from __future__ import annotations

from collections.abc import Iterable


def ranges(numbers: Iterable[int]) -> str:
    """The ranges of these numbers, which are in ascending order."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def numbers(text: str) -> list[int]:
    """The numbers in these ranges, which were not shortened.

    Raises:
        ValueError: the text is not a list of ranges.
    """
    runs = (run.partition("-") for run in text.split(",") if text)
    return [number for first, _, last in runs for number in range(int(first), int(last or first) + 1)]


def shortened(text: str, longest: int) -> str:
    """These ranges, cut at a comma to at most `longest` characters. '…' marks the cut."""
    if len(text) <= longest:
        return text
    return text[: text.rindex(",", 0, longest)] + ",…"
