"""CSV and TSV: each row becomes a line, with its cells apart."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator

from penstock.reading.format import Format
from penstock.reading.formats.text import guess_warning, match, open_text
from penstock.reading.kinds import CSV
from penstock.reading.protocol import Opened, Read, Warned
from penstock.reading.source import Source
from penstock.reading.text.encoding import encoding_of
from penstock.reading.text.flow import Flow

_SAMPLE = 1 << 16
_LONGEST_LINE = 1 << 20
"""The maximum length of a line, in characters. What follows is read as another line."""
_DELIMITERS = ",;\t|"
_DECLARATION = re.compile(r"sep=([^\r\n])\r?\n", re.IGNORECASE)
"""The line by which one spreadsheet program tells another its delimiter."""
_ROWS = 50
"""The number of lines from which the delimiter is guessed."""
_BLANKS = re.compile(r"\s+")


def read(source: Source) -> Iterator[Read]:
    import csv  # noqa: PLC0415 - other formats do not need it

    csv.field_size_limit(sys.maxsize)  # memory is bounded by the limit of the process
    encoding = encoding_of(source)
    yield Opened("csv", encoding.codec, paged=False)
    yield from guess_warning(encoding)
    with open_text(source, encoding, newline="") as stream:
        sample = stream.read(_SAMPLE)
        declared = _DECLARATION.match(sample)
        delimiter = declared[1] if declared else _guessed_delimiter(sample)
        stream.seek(0)
        if declared:
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


def _guessed_delimiter(sample: str) -> str:
    """The delimiter by which most rows have the same number of cells. Among equally good ones it is the one that makes
    the most cells."""
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
