"""A real worker with real services that is stopped or killed in the middle of a long document: what the next worker
finds, and what readers find in the end."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import pytest

from penstock.documents.receive import Upload, receive_upload
from penstock.domain.document import Document
from penstock.domain.ids import DocumentId
from penstock.domain.receipt import Receipt
from penstock.domain.status import Status
from penstock.domain.task import Lane
from tests.integration.test_two_runtimes import TENANT, Stack, emulated, eventually, made
from tests.support.pdf_files import pdf
from tests.support.world import prose

__all__ = ["emulated"]

PAGES = 600
"""The number of pages: a worker is still reading when it is stopped for the second time."""
BOOK = DocumentId("book")
SHORT_LEASE = {"PENSTOCK_LEASE_SECONDS": "5", "PENSTOCK_VISIBILITY_SECONDS": "5"}


@pytest.fixture(scope="module")
def book() -> bytes:
    return pdf(prose(f"page {number}", 4) for number in range(1, PAGES + 1))


@contextmanager
def running(stack: Stack, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    with (stack.folder / "worker.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "penstock.worker"],
            env=stack.environment() | environment,
            cwd=stack.folder,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def receive(stack: Stack, content: bytes) -> None:
    upload = Upload(BytesIO(content), "book.pdf", len(content), "0" * 64, "application/pdf")
    receive_upload(stack.services(), TENANT, upload, document=BOOK, source="api", lane=Lane.STANDARD, metadata={})


def until(what: str, holds: object, seconds: float = 60) -> None:
    eventually(what, holds, lambda: time.sleep(0.05), seconds)  # type: ignore[arg-type]


def written(stack: Stack) -> int:
    record = stack.record(BOOK)
    build = stack.services().documents.read_build(TENANT, BOOK, record.build_id)
    return build.written if build else 0


def is_whole(stack: Stack, record: Document) -> Receipt:
    """Assert that all pages and chunks are there exactly once."""
    receipt = record.receipt
    assert record.status is Status.INDEXED
    assert receipt is not None
    assert receipt.pages == receipt.pages_with_text == PAGES
    with sqlite3.connect(stack.folder / "index" / f"{TENANT}.sqlite") as connection:
        query = "SELECT ordinal FROM entries WHERE generation = ? AND build = ? ORDER BY ordinal"
        ordinals = [row[0] for row in connection.execute(query, (record.generation, record.build))]
    assert ordinals == list(range(receipt.chunks))
    return receipt


@pytest.mark.invariant("I4")
def test_a_worker_that_is_stopped_hands_its_document_on_and_no_attempt_is_counted(
    emulated: str, tmp_path: Path, book: bytes
) -> None:
    """I4: the next worker continues at once, though lease and visibility are ten minutes, and nothing is paid for
    twice."""
    stack = made("stopped", emulated, tmp_path)
    long = {"PENSTOCK_LEASE_SECONDS": "600", "PENSTOCK_VISIBILITY_SECONDS": "600"}
    receive(stack, book)
    for stop in (1, 2):
        before = written(stack)
        with running(stack, **long) as worker:
            until("some shards are written", lambda: written(stack) > before + 2)  # noqa: B023
            worker.terminate()
            assert worker.wait(30) == 0
        record = stack.record(BOOK)
        assert (record.status, record.checkpointed) == (Status.EXTRACTING, True)
        assert (record.lease.epoch, record.lease.until, record.lease.attempts) == (stop, None, 0)
    with running(stack, **long):
        until("it is final", lambda: stack.record(BOOK).status is Status.INDEXED, 120)
        until("the queues are empty", lambda: not stack.waiting())
    record = stack.record(BOOK)
    assert (record.build, record.lease.epoch, record.lease.attempts) == (1, 3, 0)
    receipt = is_whole(stack, record)
    assert receipt.embedded == receipt.chunks


@pytest.mark.invariant("I2")
def test_a_worker_that_is_killed_costs_one_attempt_and_a_build_of_its_own(
    emulated: str, tmp_path: Path, book: bytes
) -> None:
    """I2: the next lease has a higher epoch, and what the dead worker wrote belongs to a build that no reader sees."""
    stack = made("killed", emulated, tmp_path)
    receive(stack, book)
    with running(stack, **SHORT_LEASE) as worker:
        until("some shards are written", lambda: written(stack) > 2)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    assert stack.record(BOOK).lease.until is not None
    with running(stack, **SHORT_LEASE):
        until("it is final", lambda: stack.record(BOOK).status is Status.INDEXED, 120)
    record = stack.record(BOOK)
    assert (record.build, record.lease.epoch, record.lease.attempts) == (2, 2, 1)
    is_whole(stack, record)
