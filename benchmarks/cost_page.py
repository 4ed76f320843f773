"""The figures of docs/cost.md: made from the counts in budget.json, `penstock.operations.cost` and its dated prices.

    python -m benchmarks.cost_page        updates the figures of the page

A figure stands between `<!-- NAME -->` and `<!-- end -->`. The rest of the page is written by hand.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from textwrap import fill

from penstock.local.template import read_template
from penstock.operations.cost import Requests, Way, indirect_requests, listed_prices, requests_of
from penstock.operations.estimate import Estimate, estimate
from penstock.reading.sandbox.reader import ChildReader
from penstock.services import Limits
from tests.support.pdf_files import long_pdf

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/cost.md"
BUDGET = ROOT / "benchmarks/budget.json"

FEW, MANY = 10, 1_000
"""The numbers of pages of the documents whose costs are shown."""
SECONDS = {FEW: 0.074, MANY: 0.327}
"""The seconds that reading and cutting took, by `penstock estimate`, on two cores of a server on 2026-11-21."""
GIGABYTES = 3008 / 1024
"""The memory of the extract function in template.yaml."""
MODEL = "text-embedding-3-small"
MILLION = 1_000_000
MONTH = 730
"""The hours of a month."""
POLLERS, WAIT = 5, 20
"""The number of pollers of an event source mapping on an idle queue, and the seconds of each receive request (AWS
Lambda Developer Guide, "Using Lambda with Amazon SQS": polling and scaling)."""
BEAT: Requests = {"SQS.SendMessage": 1, "SQS.ReceiveMessage": 1, "SQS.DeleteMessage": 1}

PRICES = listed_prices()
WAYS = {Way.HTTPS: "by HTTPS", Way.DROP: "drop folder", Way.UPLOAD: "announced upload"}
SERVICES = ("S3", "DynamoDB", "SQS", "API Gateway", "Lambda")


def figures() -> Mapping[str, str]:
    """The figures by name, as Markdown."""
    counted: Mapping[str, Requests] = json.loads(BUDGET.read_text())
    return {
        "noted": f"Prices: {PRICES.region}, noted on {PRICES.noted}.",
        "requests": _requests(counted),
        "shards": _shards(counted),
        "documents": _documents(),
        "idle": _idle(counted),
    }


def with_figures(page: str) -> str:
    """The page with up-to-date figures.

    Raises:
        KeyError: the page has a figure that is not made here.
    """
    made = figures()
    places = re.compile(r"<!-- (\w+) -->\n.*?<!-- end -->", re.DOTALL)
    return places.sub(lambda place: f"<!-- {place[1]} -->\n{made[place[1]]}\n<!-- end -->", page)


def _requests(counted: Mapping[str, Requests]) -> str:
    cases = [next(counts for case, counts in counted.items() if case.startswith(way)) for way in WAYS]
    operations = sorted({operation for counts in cases for operation in counts})
    rows = [
        [operation.replace(".", " "), *(_count(each.get(operation, 0)) for each in cases)] for operation in operations
    ]
    total = ["**in all**", *(f"**{_count(sum(each.values()))}**" for each in cases)]
    return _table(["", *WAYS.values()], [*rows, total])


def _shards(counted: Mapping[str, Requests]) -> str:
    sums = [sum(requests_of(Way.HTTPS, shards).values()) for shards in (2, 3, 4)]
    (each,) = {after - before for before, after in pairwise(sums)}
    ((case, counts),) = ((case, counts) for case, counts in counted.items() if "shards" in case)
    shards = case.split()[-2]
    many = _estimated(MANY)
    return fill(
        f"A document of *n* shards, two or more, takes {sums[0] - 2 * each:g} + {each:g}·*n* by HTTPS (counted: "
        f"{sum(counts.values()):g} with {shards}). A thousand pages of our test text have {many.chunks} chunks, so "
        f"{many.shards} shards and {sum(requests_of(Way.HTTPS, many.shards).values()):g} requests.",
        width=120,
    )


def _documents() -> str:
    few, many = _estimated(FEW), _estimated(MANY)
    columns = [(way, few, FEW) for way in WAYS] + [(Way.HTTPS, many, MANY)]
    heads = ["", *(f"{name}, {FEW} pages" for name in WAYS.values()), f"by HTTPS, {MANY} pages"]
    billed = [_billed(way, document.shards) for way, document, _ in columns]
    parts = [_of(service, billed) for service in SERVICES]
    rows = [
        ["chunks", *(str(document.chunks) for _, document, _ in columns)],
        ["tokens", *(f"{document.tokens:,}" for _, document, _ in columns)],
        *([service, *map(_dollars, part)] for service, part in zip(SERVICES, parts, strict=True)),
        ["**requests**", *(f"**{_dollars(sum(each))}**" for each in zip(*parts, strict=True))],
        [
            "reading and cutting, Lambda",
            *(_dollars(MILLION * PRICES.of_lambda(SECONDS[pages] * GIGABYTES)) for _, _, pages in columns),
        ],
        [MODEL, *(_dollars(MILLION * (PRICES.of_tokens(MODEL, document.tokens) or 0)) for _, document, _ in columns)],
    ]
    return _table(heads, rows)


def _of(service: str, billed: Sequence[Requests]) -> list[float]:
    """The dollars for this service, for a million documents of each kind."""
    return [
        MILLION * PRICES.of_requests({name: count for name, count in each.items() if name.startswith(f"{service}.")})
        for each in billed
    ]


def _idle(counted: Mapping[str, Requests]) -> str:
    worker = next(counts for case, counts in counted.items() if "idle" in case)
    sweep = next(counts for case, counts in counted.items() if "sweep" in case)
    kinds = [each["Type"] for each in read_template(ROOT / "template.yaml").resources.values()]
    mappings = kinds.count("AWS::Lambda::EventSourceMapping")
    minutes = MONTH * 60
    rows = [
        ("a Celery worker on all lanes, counted", _times(worker, MONTH)),
        ("the sweep, every minute, counted", _times(sweep, minutes) | {"Lambda.Invoke": minutes}),
        ("beat, every minute, where no function sweeps", _times(BEAT, minutes) | _times(sweep, minutes)),
        (
            f"Lambda's own pollers, **not counted**: {mappings} mappings of {POLLERS}, waiting {WAIT} s",
            {"SQS.ReceiveMessage": mappings * POLLERS * 3600 / WAIT * MONTH},
        ),
    ]
    return _table(
        ["", "requests", "dollars"],
        [[name, f"{sum(requests.values()):,.0f}", _dollars(PRICES.of_requests(requests))] for name, requests in rows],
    )


def _estimated(pages: int) -> Estimate:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file.pdf"
        path.write_bytes(long_pdf(pages))
        return estimate(ChildReader(), path, Limits(), lambda _: True)


def _billed(way: Way, shards: int) -> Requests:
    """All requests that are billed, including those that no program of Penstock sends."""
    return _sum(requests_of(way, shards), indirect_requests(way, shards))


def _sum(one: Requests, other: Requests) -> Requests:
    return {name: one.get(name, 0) + other.get(name, 0) for name in one.keys() | other.keys()}


def _times(requests: Requests, number: float) -> dict[str, float]:
    return {operation: count * number for operation, count in requests.items()}


def _count(number: float) -> str:
    return f"{number:g}" if number else ""


_dollars = partial("{:,.2f}".format)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def write() -> None:
    """Update the figures of the page."""
    PAGE.write_text(with_figures(PAGE.read_text()))


if __name__ == "__main__":
    write()
