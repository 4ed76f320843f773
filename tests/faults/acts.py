"""The acts of the fault suite: what is done to a document while its requests meet faults."""

from __future__ import annotations

import errno
import json
import os
import re
import resource
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path

import httpx

from penstock.adapters.aws.budget import PROVIDER_BUDGET
from penstock.domain.provider_budget import FULL_LEVEL, SILENT_AFTER, ProviderBudget
from penstock.domain.status import FINAL, Status
from tests.e2e.stack import descendants
from tests.faults.case import Run
from tests.faults.proof import ended
from tests.faults.proxy import Held, Seen
from tests.faults.shifted import RIGHT
from tests.faults.stack import HOUR, PATIENCE, TENANT, until
from tests.support.counting_proxy import Request

BUDGET = 20
"""The provider's budget in requests per minute, for the group of cases that has one."""
IN_FLIGHT = 6
"""The maximum number of concurrent calls to the provider: one from each of the three processes of two workers."""


def add(run: Run) -> None:
    """Upload the document with the traps set."""
    run.trap_all()
    run.upload()


def with_clock(process: str, act: Callable[[Run], object]) -> Callable[[Run], None]:
    """Perform `act` while the clock of this process is wrong, and assert that the process wrote wrong times of the
    document."""

    def acted(run: Run) -> None:
        _, seen = run.see(process, "DynamoDB.(PutItem|TransactWriteItems)", marked=True)
        act(run)
        ended(run.stack, run.document)
        _count_wrong_times(run, process, seen)

    return acted


def _count_wrong_times(run: Run, process: str, seen: Seen) -> None:
    wrong = sum(map(_names_wrong_time, seen.requests))
    assert wrong, f"{process} wrote no wrong time: nothing is proven"
    run.done.append(f"{wrong} requests of {process} with a time an hour off")


def _names_wrong_time(request: Request) -> bool:
    """Whether the request names a time, in milliseconds, that is an hour from now, give or take the length of a
    case."""
    off = (abs(int(found) / 1000 - time.time()) for found in re.findall(rb"\b1\d{12}\b", request.body))
    return any(abs(each - HOUR) < PATIENCE for each in off)


def replace_after(run: Run) -> None:
    """An API whose clock is wrong accepts the document, then one whose clock is right accepts a replacement."""
    run.upload()
    ended(run.stack, run.document)
    answer = run.stack.apis["api"].post("/v1/documents", **run.form(run.text()))
    assert answer.status_code == HTTPStatus.ACCEPTED, answer.text
    run.done.append("replaced by an API whose clock is right")


def contend(run: Run) -> None:
    """During the work, a copy of the message reaches another runtime whose clock differs."""
    held = run.hold("lambda-express.*", "Provider.Embed")
    run.upload()
    assert held.reached.wait(180), "the document is being embedded"
    try:
        other, _ = run.see("lambda-?(bulk)?", "DynamoDB.GetItem", marked=True)
        run.send("bulk")
        until("a container whose clock is right has looked at it", lambda: other.fired)
        run.done.append("in mid-task, its message came to a container whose clock is right")
        if run.case.batches:
            until("that one has taken it, and ended it", lambda: _status(run) in FINAL)
            run.done.append("which took it over, and finished it")
    finally:
        held.released.set()


def sweep_behind(run: Run) -> None:
    """The document's message is lost. To one of the workers that sweep, nothing is due."""
    _, seen = run.see("worker-behind", "DynamoDB.Query")
    add(run)
    until("it has swept, too", lambda: any(map(_names_wrong_time, seen.requests)))
    _count_wrong_times(run, "worker-behind", seen)


def sweep_ahead(run: Run) -> None:
    """The document's message is lost. To the worker that sweeps, everything is due."""
    resent, _ = run.see("worker-ahead", "SQS.SendMessage", marked=True)
    _, seen = run.see("worker-ahead", "DynamoDB.Query")
    add(run)
    until("it is sent again", lambda: resent.fired)
    _count_wrong_times(run, "worker-ahead", seen)


def right_beat(beat: str) -> Callable[[Run], None]:
    """Beat's clock is corrected by an hour, forwards or back, and then a message is lost."""

    def act(run: Run) -> None:
        before, _ = run.see(beat, "SQS.SendMessage")
        until("it asks for sweeps", lambda: before.fired)
        program = run.stack.programs[beat]
        os.kill(program.pid, signal.SIGUSR1)
        until("its clock is put right", lambda: RIGHT in program.said())
        asked, _ = run.see(beat, "SQS.SendMessage")
        run.stack.traps.drop(before)
        run.traps.remove(before)
        add(run)
        ended(run.stack, run.document)
        until("it goes on to ask for sweeps", lambda: asked.fired > 1)
        run.done.append(f"the clock of {beat} put right, an hour off; then it asked for {asked.fired} sweeps")

    return act


def drop(run: Run) -> None:
    run.drop()


def post(run: Run) -> None:
    run.post()
    run.done.append("sent to the bucket, as was announced")


def add_and_remove(run: Run) -> None:
    """The faults meet the removal."""
    run.upload()
    ended(run.stack, run.document)
    run.ends = frozenset({Status.DELETED})
    run.trap_all()
    run.call("DELETE", f"/v1/documents/{run.document}")
    run.done.append("deleted")


def add_and_cancel(run: Run) -> None:
    """The faults meet the cancel request."""
    held = HOLDS["embed"](run)
    run.upload()
    assert held.reached.wait(180), "the document is being embedded"
    try:
        run.trap_all()
        _cancel(run)
    finally:
        held.released.set()
    run.done.append("cancelled in mid-document")


def add_and_retry(run: Run) -> None:
    """The faults meet the retry request."""
    held = HOLDS["embed"](run)
    run.upload()
    assert held.reached.wait(180), "the document is being embedded"
    try:
        _cancel(run)
    finally:
        held.released.set()
    ended(run.stack, run.document)
    run.paid_from = len(run.stack.provider.texts)
    run.trap_all()
    answer = run.call("POST", f"/v1/documents/{run.document}/retry")
    # A client that repeats its request after a kill may learn that it is done already.
    assert answer.status_code in {HTTPStatus.ACCEPTED, HTTPStatus.CONFLICT}, answer.text
    run.ends = frozenset({Status.INDEXED})
    run.done.append("cancelled in mid-document, and retried")


def both_runtimes(run: Run) -> None:
    """Send copies of the message to the worker and to the function at the same time."""
    run.upload()
    for lane in ("bulk", "standard", "bulk"):
        run.send(lane)
    run.done.append("three copies of its message, in the queues of both runtimes")


def two_workers(run: Run) -> None:
    """Send copies of the message to two workers."""
    run.upload()
    for _ in range(3):
        run.send("standard")
    run.done.append("three copies of its message, in a queue that two workers read")


def redeliver(run: Run) -> None:
    """The visibility of the only message ends, and another container receives it while the first is still at work."""
    looked, _ = run.see("lambda-express.*", "DynamoDB.GetItem", marked=True)
    held = run.hold("lambda-express.*", "Provider.Embed")
    run.upload()
    assert held.reached.wait(180), "the document is being embedded"
    try:
        name = run.traps[-1].met[0].split()[0]
        others = until("another has got it", lambda: [met for met in looked.met if met.split()[0] != name])
    finally:
        held.released.set()
    run.done.append(f"with {name} in mid-task, its message came to {others[0].split()[0]} ×{len(others)}")


def stall(process: str) -> Callable[[Run], None]:
    """A worker is stopped for longer than its lease, another one takes over, and then the first one continues."""

    def act(run: Run) -> None:
        held = run.hold(f"{process}.*", "Provider.Embed", skip=1)
        run.upload()
        assert held.reached.wait(180), "the document is being embedded"
        name = run.traps[-1].met[0].split()[0]
        other = next(each for each in run.stack.programs if each.startswith(process) and each != name)
        pid = run.stack.programs[name].pid
        stopped = [pid, *descendants(pid)]
        for each in stopped:
            os.kill(each, signal.SIGSTOP)
        try:
            held.released.set()
            taken, _ = run.see(other, "Provider.Embed", re.escape(run.mark))
            until("the other has taken it", lambda: taken.fired)
            until("the other has ended it", lambda: _status(run) in FINAL)
        finally:
            for each in reversed(stopped):
                with suppress(ProcessLookupError):
                    os.kill(each, signal.SIGCONT)
        run.done.append(
            f"SIGSTOP of {name} with the provider's answer on its way, SIGCONT when {other} had ended the work"
        )

    return act


def _status(run: Run) -> Status | None:
    record = run.stack.services.documents.read(TENANT, run.document)
    return record.status if record else None


# Races: a request is made while a request of the stage is held.

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
    """Make a request while the document's last bytes are being removed."""

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
    """Retry a document that is in work already, which changes nothing."""
    answer = run.call("POST", f"/v1/documents/{run.document}/retry")
    assert answer.status_code == HTTPStatus.ACCEPTED, answer.text
    run.ends = frozenset({Status.INDEXED})


def _retried(run: Run) -> bool:
    """Retry, and return whether that was accepted: there is nothing to retry until the cancel is finished."""
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


# The provider's budget, which all processes share.


def share_budget(run: Run) -> None:
    """Two workers need more requests than the budget of a minute. Their leases of the budget are read from their
    writes."""
    _, leases = run.see("worker.*", "DynamoDB.PutItem", "~provider/")
    asked, _ = run.see("worker.*", "Provider.Embed")
    run.upload()
    ended(run.stack, run.document)
    most: dict[int, float] = {}
    for budget in map(_budget_in, leases.requests):
        most[budget.minute] = max(most.get(budget.minute, 0), budget.spent.requests)
    assert max(most.values()) <= BUDGET, f"leased by the minute: {most}, of {BUDGET}"
    assert BUDGET < asked.fired <= sum(most.values()), f"{asked.fired} requests, leased by the minute: {most}"
    senders = {met.split()[0] for met in asked.met}
    assert senders == {"worker", "worker-2"}, f"only {senders} asked: nothing is proven"
    run.done.append(f"two workers with a budget of {BUDGET} requests a minute, used in {len(most)} minutes")


def _budget_in(request: Request) -> ProviderBudget:
    item = json.loads(request.body)["Item"]
    return PROVIDER_BUDGET.unpack({name: value for name, value in item.items() if name not in {"pk", "sk"}})


def outage(run: Run) -> None:
    """The provider fails until a probe has failed too. A worker that tried again without probing would use up the
    attempts of this group in moments."""
    run.trap_all()
    ((_, down),) = run.planned
    run.upload()
    until("the circuit is open", lambda: run.stack.provider_budget().silent)
    until("a probe has failed", lambda: run.stack.provider_budget().failures > SILENT_AFTER)
    budget = run.stack.provider_budget()
    down.times = 0
    probes = budget.failures - SILENT_AFTER
    assert down.fired <= SILENT_AFTER + IN_FLIGHT + probes, f"asked {down.fired} times, with {probes} probes"
    until("a probe has closed it", lambda: run.stack.provider_budget().failures == 0)
    run.done.append(f"out until {probes} probe had failed; then it came back")


def refusals(run: Run) -> None:
    """Each of the document's first requests is refused, and all processes slow down."""
    run.trap_all()
    run.upload()
    until("they are slowed down", lambda: run.stack.provider_budget().level < FULL_LEVEL)


# The index is a file: its faults are done to the file and to the processes that write it.


def lock_index(seconds: float) -> Callable[[Run], None]:
    """Another process holds the index's write lock for this number of seconds."""

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
    """The worker's processes cannot write beyond the first 16 KiB of any file, until one has reported it."""
    worker = run.stack.programs["worker"].pid
    found = {pid: resource.prlimit(pid, resource.RLIMIT_FSIZE) for pid in descendants(worker)}
    before = {pid: limits for pid, limits in found.items() if limits[1]}  # the others are the processes that open files
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


def fill_tmp(process: str, act: Callable[[Run, Callable[[], bool]], None]) -> Callable[[Run], None]:
    """The TMPDIR of this process is a file system of 1 MiB, which is full during `act`. It was used before, because
    Python chooses another folder if it finds the first one full at the start."""

    def acted(run: Run) -> None:
        run.upload()
        ended(run.stack, run.document)
        folder = Path(f"/proc/{run.stack.programs[process].pid}/root{run.stack.folder}/tmp")
        filler = folder / "filler"

        def full() -> bool:
            """Fill the folder, again if its files were deleted. Returns whether it is full."""
            try:
                with filler.open("ab", buffering=0) as file:
                    while True:
                        file.write(b"\0" * 4096)
            except OSError as error:
                return error.errno == errno.ENOSPC

        assert full(), "it is a folder of its own, and small"
        try:
            act(run, full)
        finally:
            filler.unlink()

    return acted


def fails_to_read(run: Run, full: Callable[[], bool]) -> None:
    run.upload()
    until("a file could not be written", lambda: full() and _failure_says(run, ""))
    run.done.append("replaced, and its temporary folder full until that was reported")


def refuses(run: Run, full: Callable[[], bool]) -> None:
    form, before = run.form(run.text()), run.stack.services.documents.read(TENANT, run.document)
    refused = 0
    for _ in range(3):
        assert full(), "there is no room"
        answer = run.api.post("/v1/documents", **form)
        assert answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE, answer.text
        assert "disk" in answer.json()["detail"], answer.text
        assert int(answer.headers["Retry-After"]) > 0, "it says when to come again"
        refused += 1
    assert run.stack.services.documents.read(TENANT, run.document) == before, "nothing was accepted"
    run.done.append(f"a replacement refused, its temporary folder full: 503 ×{refused}, and nothing accepted")


def add_again(refused: Callable[[Run], None]) -> Callable[[Run], None]:
    """Upload the same bytes again when there is room."""

    def act(run: Run) -> None:
        refused(run)
        answer = run.offer(run.texts[-1])
        assert answer.status_code == HTTPStatus.ACCEPTED, answer.text

    return act


def needs_no_room(run: Run, full: Callable[[], bool]) -> None:
    """A file of the drop folder needs no room: it is copied from S3 to S3."""
    run.texts.clear()
    received, _ = run.see("poller.*", "DynamoDB.PutItem", re.escape(f"{run.mark[:-1]}.txt"))
    run.drop()
    until("it is received", lambda: received.fired and _status(run))
    assert full(), "there was no room all the time"
    run.done.append("received with its temporary folder full")


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
    """Stop all processes in mid-document, and start them again on the state that they kept."""
    run.upload()
    until("the document is being embedded", run.embedding)
    run.stack.restart()
    run.done.append("everything ended and started again, the emulator by a clean stop")
