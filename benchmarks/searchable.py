"""How long it takes until a document of ten pages can be found, on the idle local stack, and where that time goes.

    python -m benchmarks.searchable [--documents N]

New documents are sent one after the other by each door. The time runs from the start of sending to the first answer of
a search that has the document. The search is repeated every 20 ms, which is part of the load.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tests.e2e.stack import RunningStack, running_stack
from tests.support.pdf_files import pdf

PAGES = 10
ASK_EVERY = 0.02
PATIENCE = 60.0
WARM_UP = 3
"""The number of documents of each door that are not counted, because they open connections and files."""

_LINE = re.compile(
    r"(?P<at>\S+ \d\d:\d\d:\d\d,\d\d\d) .*(?:received \S+ as (?P<received>\w+)"
    r"|extract \S+/(?P<done>\w+) \d+: done in (?P<seconds>[\d.]+) s)"
)
"""The lines of interest in the logs of the poller and the worker."""


@dataclass(frozen=True)
class Way:
    """The moments of one document, in seconds from the start of sending."""

    accepted: float
    started: float
    done: float
    found: float

    @property
    def parts(self) -> tuple[float, float, float, float]:
        return self.accepted, self.started - self.accepted, self.done - self.started, self.found - self.done


PARTS = ("accepted", "waits in the queue", "read, cut, embedded, published", "seen by a search")


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--documents", type=int, default=40, help="the number of documents by each door")
    number = parser.parse_args(arguments).documents
    doors: dict[str, Callable[[RunningStack], Way]] = {"HTTPS": by_https, "drop folder": by_drop}
    began = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder, running_stack(Path(folder) / "state") as stack:
        seen = {door: [send(stack) for _ in range(WARM_UP + number)][WARM_UP:] for door, send in doors.items()}
    print(f"{number} documents of {PAGES} pages by each door, one after the other; milliseconds; ", end="")
    print(f"{os.cpu_count()} cores, load {began:.1f} before\n")
    print(f"| | {' | '.join(doors)} |\n|---|{'---|' * len(doors)}")
    row("**p50**", [statistics.median(way.found for way in ways) for ways in seen.values()])
    row("**p95**", [statistics.quantiles((way.found for way in ways), n=20)[-1] for ways in seen.values()])
    for at, part in enumerate(PARTS):
        row(f"{part}, p50", [statistics.median(way.parts[at] for way in ways) for ways in seen.values()])
    return 0


def row(name: str, seconds: Sequence[float]) -> None:
    print(f"| {name} | {' | '.join(f'{each * 1000:.0f}' for each in seconds)} |")


def by_https(stack: RunningStack) -> Way:
    content, word = file()
    began = time.time()
    entered = stack.upload("file.pdf", content)
    accepted = time.time()
    return followed(stack, entered["document_id"], word, began, accepted)


def by_drop(stack: RunningStack) -> Way:
    content, word = file()
    key = f"drop/local/bench/{word}.pdf"
    document = hashlib.sha256(f"local\0{key}".encode()).hexdigest()[:32]
    s3 = stack.s3()
    began = time.time()
    s3.put_object(Bucket=stack.bucket, Key=key, Body=content)
    return followed(stack, document, word, began, None)


def file() -> tuple[bytes, str]:
    """A PDF whose texts are all new, and a word that only this PDF has."""
    word = uuid.uuid4().hex
    sentence = "Water comes down the penstock, turns the wheel and leaves by the tailrace. "
    return pdf(f"Page {number} of {word}.\n" + f"{word[number:]} {sentence}" * 10 for number in range(PAGES)), word


def followed(stack: RunningStack, document: str, word: str, began: float, accepted: float | None) -> Way:
    """Wait until the document is found. `accepted` is the time of acceptance; if it is None, it is taken from the
    log."""
    deadline = began + PATIENCE
    while not stack.search(word, document=document)["hits"]:
        assert time.time() < deadline, f"{document} is not found"
        time.sleep(ASK_EVERY)
    found = time.time()
    logs = stack.state / "logs"
    if accepted is None:
        accepted = logged(logs / "poller.log", "received", document)[0]
    done, seconds = logged(logs / "worker.log", "done", document)
    return Way(*(at - began for at in (accepted, done - seconds, done, found)))


def logged(log: Path, what: str, document: str) -> tuple[float, float]:
    """The time of the log line about this event of the document, and the duration that the line gives. The line may be
    written a moment late."""
    deadline = time.time() + PATIENCE
    while time.time() < deadline:
        for line in log.read_text().splitlines():
            match = _LINE.match(line)
            if match and match[what] == document:
                at = datetime.strptime(match["at"], "%Y-%m-%d %H:%M:%S,%f").timestamp()  # noqa: DTZ007 - the log's
                return at, float(match["seconds"] or 0)
        time.sleep(ASK_EVERY)
    raise AssertionError(f"{log} has no line about {what} of {document}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
