"""CSV and TSV: each row on a line, its cells apart."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

from penstock.extract.flow import Flow
from penstock.extract.format import Format
from penstock.extract.frames import Opened, Read, Warned
from penstock.extract.kinds import CSV
from penstock.extract.source import Source
from penstock.extract.text import encoding_of, guessed, match, opened

_SAMPLE = 1 << 16
_LONGEST_LINE = 1 << 20
"""Characters of a row; what follows is the next."""
_DELIMITERS = ",;\t|"
_BLANKS = re.compile(r"\s+")


def read(source: Source) -> Iterator[Read]:
    import csv  # noqa: PLC0415 - other formats do not need it

    csv.field_size_limit(sys.maxsize)  # memory is bounded otherwise
    encoding = encoding_of(source)
    yield Opened("csv", encoding.codec, paged=False)
    yield from guessed(encoding)
    with opened(source, encoding, newline="") as stream:
        delimiter = _delimiter(stream.read(_SAMPLE))
        stream.seek(0)
        flow = Flow()
        lines = iter(lambda: stream.readline(_LONGEST_LINE), "")
        rows = csv.reader((line.replace("\0", "") for line in lines), delimiter=delimiter)
        while True:
            try:
                row = next(rows)
            except StopIteration:
                break
            except csv.Error as error:
                yield Warned(f"Line {rows.line_num} is not as CSV should be ({error}).")
                continue
            flow.row([_BLANKS.sub(" ", cell).strip() for cell in row])
            yield from flow.full()
        yield from flow.rest()


def _delimiter(sample: str) -> str:
    """The one that most lines have as often as the first does."""
    lines = [line for line in sample.splitlines()[:50] if line.strip()] or [""]
    scores = {}
    for each in _DELIMITERS:
        counts = [line.count(each) for line in lines]
        scores[each] = sum(count == counts[0] for count in counts) if counts[0] else sum(map(bool, counts)) / 2
    return max(_DELIMITERS, key=lambda each: scores[each])


FORMAT = Format(CSV, match=match, read=read)
