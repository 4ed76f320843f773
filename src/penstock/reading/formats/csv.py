"""CSV and TSV: each row on a line, its cells apart."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator

from penstock.reading.format import Format
from penstock.reading.formats.text import guessed, match, opened
from penstock.reading.kinds import CSV
from penstock.reading.protocol import Opened, Read, Warned
from penstock.reading.source import Source
from penstock.reading.text.encoding import encoding_of
from penstock.reading.text.flow import Flow

_SAMPLE = 1 << 16
_LONGEST_LINE = 1 << 20
"""Characters of a row; what follows is the next."""
_DELIMITERS = ",;\t|"
_TOLD = re.compile(r"sep=([^\r\n])\r?\n", re.IGNORECASE)
"""By which a spreadsheet tells the next one what it has written."""
_ROWS = 50
_BLANKS = re.compile(r"\s+")


def read(source: Source) -> Iterator[Read]:
    import csv  # noqa: PLC0415 - other formats do not need it

    csv.field_size_limit(sys.maxsize)  # memory is bounded otherwise
    encoding = encoding_of(source)
    yield Opened("csv", encoding.codec, paged=False)
    yield from guessed(encoding)
    with opened(source, encoding, newline="") as stream:
        sample = stream.read(_SAMPLE)
        told = _TOLD.match(sample)
        delimiter = told[1] if told else _delimiter(sample)
        stream.seek(0)
        if told:
            stream.readline()
        flow = Flow()
        lines = iter(lambda: stream.readline(_LONGEST_LINE), "")
        rows = csv.reader((line.replace("\0", "") for line in lines), delimiter=delimiter, skipinitialspace=True)
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
    """The one by which most rows have as many cells as each other; of equally good ones that which makes most cells."""
    import csv  # noqa: PLC0415

    lines = sample.splitlines(keepends=True)[:_ROWS]
    best, found = (0.0, 1), _DELIMITERS[0]
    for each in _DELIMITERS:
        try:
            widths = Counter(len(row) for row in csv.reader(lines, delimiter=each, skipinitialspace=True) if row)
        except csv.Error:
            continue
        width, count = max(widths.items(), key=lambda item: (item[1], item[0]), default=(1, 0))
        score = (count / widths.total() if width > 1 else 0.0, width)
        if score > best:
            best, found = score, each
    return found


FORMAT = Format(CSV, match=match, read=read)
