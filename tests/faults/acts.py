"""What is done to a document while faults are done to its way."""

from __future__ import annotations

import json
import os
import resource
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path

import httpx

from penstock.adapters.aws.pace import PACE
from penstock.document import FINAL, Status
from penstock.pace import SILENT_AFTER, WHOLE, Pace
from tests.e2e.stack import descendants
from tests.faults.case import Run
from tests.faults.proof import ended
from tests.faults.proxy import Held
from tests.faults.stack import TENANT, until
from tests.meter import Request

BUDGET = 20
"""Requests a minute, of the group whose provider has one."""
IN_FLIGHT = 6
"""Calls of two workers to the provider at once: one of each of their processes."""


def add(run: Run) -> None:
    """Accepted by the API, with the traps set."""
    run.trap_all()
    run.upload()


def with_clock(words: str) -> Callable[[Run], None]:
    """The worker of the case's lane has another time than all others."""

    def act(run: Run) -> None:
        run.upload()
        run.done.append(f"by a worker whose clock is {words}")

    return act


def drop(run: Run) -> None:
    run.drop()


def post(run: Run) -> None:
    run.post()
    run.done.append("sent to the bucket, as was announced")


def add_and_remove(run: Run) -> None:
    """The fault is done to the removal."""
    run.upload()
    ended(run.stack, run.document)
    run.ends = frozenset({Status.DELETED})
    run.trap_all()
    run.call("DELETE", f"/v1/documents/{run.document}")
    run.done.append("deleted")


def add_and_cancel(run: Run) -> None:
    """The fault is done to whoever is asked to cancel."""
    held = HOLDS["embed"](run)
    run.upload()
    assert held.reached.wait(180), "it is being embedded"
    try:
        run.trap_all()
        _cancel(run)
    finally:
        held.released.set()
    run.done.append("cancelled in mid-document")


def add_and_retry(run: Run) -> None:
    """The fault is done to whoever is asked to retry."""
    held = HOLDS["embed"](run)
    run.upload()
    assert held.reached.wait(180), "it is being embedded"
    try:
        _cancel(run)
    finally:
        held.released.set()
    ended(run.stack, run.document)
    run.paid_from = len(run.stack.provider.texts)
    run.trap_all()
    answer = run.call("POST", f"/v1/documents/{run.document}/retry")
    # Who asks again after a kill may hear that it is done already.
    assert answer.status_code in {HTTPStatus.ACCEPTED, HTTPStatus.CONFLICT}, answer.text
    run.ends = frozenset({Status.INDEXED})
    run.done.append("cancelled in mid-document, and retried")


def both_runtimes(run: Run) -> None:
    """Copies of its message for the worker and for the function, at the same time."""
    run.upload()
    for lane in ("bulk", "standard", "bulk"):
        run.send(lane)
    run.done.append("three copies of its message, in the queues of both runtimes")


def two_workers(run: Run) -> None:
    """Copies of its message for two workers."""
    run.upload()
    for _ in range(3):
        run.send("standard")
    run.done.append("three copies of its message, in a queue that two workers read")


def stall(run: Run) -> None:
    """A worker stands still for longer than its lease, another goes on, and then it wakes."""
    held = run.hold("worker.*", "Provider.Embed", skip=1)
    run.upload()
    assert held.reached.wait(180), "a worker embeds"
    name = run.traps[-1].met[0].split()[0]
    other = next(each for each in ("worker", "worker-2") if each != name)
    worker = run.stack.programs[name].pid
    stopped = [worker, *descendants(worker)]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        held.released.set()
        first = run.stack.programs[other].said().count(run.document)
        until("the other has taken it", lambda: run.stack.programs[other].said().count(run.document) > first)
        until("the other has ended it", lambda: _status(run) in FINAL)
    finally:
        for pid in reversed(stopped):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
    run.done.append(f"SIGSTOP of {name} with the provider's answer on its way, SIGCONT when {other} had ended the work")


def _status(run: Run) -> Status | None:
    record = run.stack.services.documents.read(TENANT, run.document)
    return record.status if record else None


# Races: something is asked for while a request of the stage is on its way.

HOLDS: dict[str, Callable[[Run], Held]] = {
    "claim": lambda run: run.hold(_runtime(run), "DynamoDB.(PutItem|TransactWriteItems)"),
    "extract": lambda run: run.hold(_runtime(run), "S3.PutObject"),
    "hand-over": lambda run: run.hold(_runtime(run), "SQS.SendMessage"),
    "embed": lambda run: run.hold(_runtime(run), "Provider.Embed", skip=1),
    "publish": lambda run: run.hold(_runtime(run), "DynamoDB.(PutItem|TransactWriteItems)", '"indexed"'),
}


def _runtime(run: Run) -> str:
    return "lambda.*" if run.case.lane == "bulk" else "worker"


def race(operation: str, stage: str) -> Callable[[Run], None]:
    def act(run: Run) -> None:
        held = HOLDS[stage](run)
        run.upload()
        assert held.reached.wait(180), f"{stage} has come"
        try:
            RACES[operation](run)
        finally:
            held.released.set()
        run.done.append(f"{operation} while {stage} was on its way")
        if operation == "cancel, retry":
            until("the retry is taken", lambda: _retried(run))

    return act


def race_removal(operation: str) -> Callable[[Run], None]:
    """While its last bytes are being removed."""

    def act(run: Run) -> None:
        again = operation == "drop again"
        run.drop() if again else run.upload()
        ended(run.stack, run.document)
        held = run.hold("worker|lambda.*", "S3.DeleteObject")
        _delete(run)
        assert held.reached.wait(180), "its removal has come"
        try:
            AFTER_DELETE[operation](run)
        finally:
            held.released.set()
        if operation == "replace":
            text = run.text()
            until("its bytes are taken again", lambda: run.offer(text).status_code == HTTPStatus.ACCEPTED)
        if operation in {"replace", "drop again"}:
            run.ends = frozenset({Status.INDEXED})
            until("they are indexed", lambda: _status(run) is Status.INDEXED)
        run.done.append(f"{operation} while its removal was on its way")

    return act


def _replace(run: Run) -> None:
    run.upload()


def _delete(run: Run) -> None:
    answer = run.call("DELETE", f"/v1/documents/{run.document}")
    assert answer.status_code == 202, answer.text
    run.ends = frozenset({Status.DELETED})


def _cancel(run: Run) -> None:
    answer = run.call("POST", f"/v1/documents/{run.document}/cancel")
    assert answer.status_code == 202, answer.text
    run.ends = frozenset({Status.CANCELLED})


def _retry(run: Run) -> None:
    """Of what is under way, nothing is changed."""
    answer = run.call("POST", f"/v1/documents/{run.document}/retry")
    assert answer.status_code == HTTPStatus.ACCEPTED, answer.text
    run.ends = frozenset({Status.INDEXED})


def _retried(run: Run) -> bool:
    """Once the cancel has come to its end: until then there is nothing to retry."""
    answer = run.call("POST", f"/v1/documents/{run.document}/retry")
    if answer.status_code != 202:
        return False
    run.ends, run.paid_from = frozenset({Status.INDEXED}), len(run.stack.provider.texts)
    return True


RACES: dict[str, Callable[[Run], None]] = {
    "replace": _replace,
    "delete": _delete,
    "cancel": _cancel,
    "retry": _retry,
    "cancel, retry": _cancel,
}


def _refused(answer: httpx.Response) -> None:
    assert answer.status_code == HTTPStatus.CONFLICT, answer.text


AFTER_DELETE: dict[str, Callable[[Run], object]] = {
    "replace": lambda run: _refused(run.offer("These bytes come too early.")),
    "drop again": lambda run: run.drop(),
    "delete": _delete,
    "cancel": lambda run: _refused(run.call("POST", f"/v1/documents/{run.document}/cancel")),
    "retry": lambda run: _refused(run.call("POST", f"/v1/documents/{run.document}/retry")),
}


# The provider's pace, which all share.


def share_budget(run: Run) -> None:
    """More requests than a minute has, of two workers. What they lease stands in their writes, by the minute."""
    _, leases = run.see("worker.*", "DynamoDB.PutItem", "~provider/")
    asked, _ = run.see("worker.*", "Provider.Embed", "")
    run.upload()
    ended(run.stack, run.document)
    most: dict[int, float] = {}
    for pace in map(_pace_in, leases.requests):
        most[pace.minute] = max(most.get(pace.minute, 0), pace.spent.requests)
    assert max(most.values()) <= BUDGET, f"leased by the minute: {most}, of {BUDGET}"
    assert BUDGET < asked.fired <= sum(most.values()), f"{asked.fired} requests, leased by the minute: {most}"
    senders = {met.split()[0] for met in asked.met}
    assert senders == {"worker", "worker-2"}, f"only {senders} asked: nothing is proven"
    run.done.append(f"two workers with a budget of {BUDGET} requests a minute, used in {len(most)} minutes")


def _pace_in(request: Request) -> Pace:
    item = json.loads(request.body)["Item"]
    return PACE.unpack({name: value for name, value in item.items() if name not in {"pk", "sk"}})


def outage(run: Run) -> None:
    """The provider is out until a probe has found it so. Whoever tried again without asking whether it is there would
    use up the attempts of this group in moments."""
    run.trap_all()
    ((_, down),) = run.planned
    run.upload()
    until("the circuit is open", lambda: run.stack.pace().silent)
    until("a probe has failed", lambda: run.stack.pace().failures > SILENT_AFTER)
    pace = run.stack.pace()
    down.times = 0
    probes = pace.failures - SILENT_AFTER
    assert down.fired <= SILENT_AFTER + IN_FLIGHT + probes, f"asked {down.fired} times, with {probes} probes"
    until("a probe has closed it", lambda: run.stack.pace().failures == 0)
    run.done.append(f"out until {probes} probe had failed; then it came back")


def refusals(run: Run) -> None:
    """Each of a document's first requests is refused, and nobody is to be asked so much any more."""
    run.trap_all()
    run.upload()
    until("they are slowed down", lambda: run.stack.pace().level < WHOLE)


# The index is a file: what can be done to it is done to the file and to its writers.


def lock_index(seconds: float) -> Callable[[Run], None]:
    """Another process holds the write lock for so long."""

    def act(run: Run) -> None:
        run.upload()
        until("the index is there", lambda: _index(run).exists() or None)
        db = sqlite3.connect(_index(run), isolation_level=None, timeout=60)
        try:
            db.execute("BEGIN IMMEDIATE")
            before = _entries(run)
            time.sleep(seconds)
            assert _entries(run) == before, "nobody writes meanwhile"
            held = run.embedding()
            db.execute("COMMIT")
        finally:
            db.close()
        assert held, "the fault was done to nobody: nothing was to be written"
        run.done.append(f"its write lock held by another for {seconds:.0f} s, with vectors waiting to be written")

    return act


def fill_disk(run: Run) -> None:
    """The worker's processes may write no byte beyond the first few of any file, until one has found out."""
    worker = run.stack.programs["worker"].pid
    found = {pid: resource.prlimit(pid, resource.RLIMIT_FSIZE) for pid in descendants(worker)}
    before = {pid: limits for pid, limits in found.items() if limits[1]}  # the others are those that open files
    for pid, (_, hard) in before.items():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (16_384, hard))
    try:
        run.upload()
        until("a write to the index failed", lambda: _failure_says(run, "the index file"))
    finally:
        for pid, limits in before.items():
            with suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)
    run.done.append("its writes refused (RLIMIT_FSIZE) until one was reported")


def fill_tmp(run: Run) -> None:
    """The worker's TMPDIR is a file system of 64 KiB, and full."""
    folder = Path(f"/proc/{run.stack.programs['small'].pid}/root{run.stack.folder}/tmp")
    filler = folder / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(b"\0" * 4096)
    try:
        run.upload()
        until("a file could not be written", lambda: _failure_says(run, ""))
    finally:
        filler.unlink()
    run.done.append("its temporary folder full until that was reported")


def _failure_says(run: Run, words: str) -> bool:
    record = run.stack.services.documents.read(TENANT, run.document)
    return record is not None and record.failure is not None and words in record.failure.message


def _index(run: Run) -> Path:
    return run.stack.folder / "index" / f"{TENANT}.sqlite"


def _entries(run: Run) -> int:
    db = sqlite3.connect(f"file:{_index(run)}?mode=ro", uri=True, timeout=60)
    try:
        count: int = db.execute("SELECT count(*) FROM entries").fetchone()[0]
        return count
    finally:
        db.close()


def restart_all(run: Run) -> None:
    """Everything is asked to end in mid-document, and started again on the state that it kept."""
    run.upload()
    until("it is being embedded", run.embedding)
    run.stack.restart()
    run.done.append("everything ended and started again, the emulator by a clean stop")
