"""One task, two runtimes: the same messages, run by a Celery worker and by the Lambda consumer, leave the same records
and the same index in every byte, except times."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from penstock.adapters.aws.clients import Clients, aws_clients
from penstock.documents.receive import Upload, receive_upload
from penstock.documents.remove import request_removal
from penstock.domain.document import Document
from penstock.domain.ids import DocumentId, TenantId
from penstock.domain.lease import Lease
from penstock.domain.status import FINAL, Status
from penstock.domain.task import Lane, Stage
from penstock.lambdas.stages import CHECKPOINT_BEFORE_END
from penstock.local.emulator import emulator
from penstock.local.port import free_port
from penstock.local.provision import Provisioned, provision
from penstock.local.sqs_record import record_of
from penstock.services import Services
from penstock.settings import Settings
from penstock.wiring import services
from tests.support.paths import ROOT
from tests.support.pdf_files import pdf
from tests.support.world import prose

TENANT = TenantId("acme")
AWS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
LONG = pdf(prose(f"page {number}", 4) for number in range(1, 13))
FILES = {
    "one-shard": ("weir.md", b"# Weir\n\nThe weir was opened in spring.\n"),
    "several-shards": ("long.pdf", LONG),
    "locked": ("locked.pdf", pdf(["For some."], password="secret")),
    "without-text": ("blank.pdf", pdf(["", ""])),
    "removed": ("gone.txt", b"The sluice was closed in autumn."),
}


@dataclass
class Stack:
    """A Penstock of its own on the emulator: table, bucket, queues and index."""

    name: str
    endpoint: str
    clients: Clients
    made: Provisioned
    folder: Path

    def environment(self) -> dict[str, str]:
        own = {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "PENSTOCK_INDEX": "sqlite",
            "PENSTOCK_INDEX_PATH": str(self.folder / "index"),
            "PENSTOCK_EMBEDDER": "wordllama",
            "PENSTOCK_CHUNK_CHARS": "400",
            "PENSTOCK_OVERLAP_CHARS": "40",
            "PENSTOCK_SHARD_CHUNKS": "8",
            "PENSTOCK_WAIT_SECONDS": "1",
            "PENSTOCK_LOG_JSON": "true",
        }
        return AWS | self.made.environment() | own

    def services(self) -> Services:
        with pytest.MonkeyPatch.context() as patched:
            for name, value in self.environment().items():
                patched.setenv(name, value)
            return services(Settings.from_environment())

    def receive(self) -> None:
        """Receive documents, so that each has one message. The document to remove is first indexed."""
        own = self.services()
        for ident, (name, body) in FILES.items():
            upload = Upload(BytesIO(body), name, len(body), hashlib.sha256(body).hexdigest(), None)
            document = DocumentId(ident)
            receive_upload(own, TENANT, upload, document=document, source="api", lane=Lane.STANDARD, metadata={})

    def record(self, ident: str) -> Document:
        found = self.services().documents.read(TENANT, DocumentId(ident))
        assert found is not None
        return found

    def is_final(self) -> bool:
        return all(self.record(ident).status in FINAL for ident in FILES)

    def records(self) -> dict[str, Document]:
        """The records without times and what is derived from them."""
        return {ident: timeless(self.record(ident)) for ident in FILES}

    def index(self) -> list[tuple[Any, ...]]:
        """Every column of every entry, vectors included, except the generation and the row number."""
        with sqlite3.connect(self.folder / "index" / f"{TENANT}.sqlite") as connection:
            names = [row[1] for row in connection.execute("PRAGMA table_info(entries)")]
            wanted = ", ".join(name for name in names if name not in {"row", "generation"})
            return connection.execute(f"SELECT {wanted} FROM entries ORDER BY document, build, ordinal").fetchall()

    def waiting(self) -> list[str]:
        """The queues that are not empty."""
        urls = {**self.made.queues, **{f"{stage}-dead": url for stage, url in self.made.dead_letters.items()}}
        return [name for name, url in urls.items() if any(self._counts(url))]

    def _counts(self, url: str) -> list[int]:
        answer = self.clients.sqs.get_queue_attributes(
            QueueUrl=url,
            AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
        )
        return [int(count) for count in answer["Attributes"].values()]


def timeless(record: Document) -> Document:
    receipt = record.receipt and replace(record.receipt, seconds=0)
    active = record.active and replace(
        record.active,
        build_id=replace(record.active.build_id, generation=0),
        receipt=replace(record.active.receipt, seconds=0),
        original=replace(record.active.original, version=""),
    )
    return replace(
        record,
        generation=0,
        accepted=record.accepted.min,
        sweep_at=None,
        expires_at=None,
        receipt=receipt,
        failure=record.failure and replace(record.failure, at=None),
        active=active,
        original=replace(record.original, version=""),
        revision=0,
    )


@contextmanager
def worker(stack: Stack) -> Iterator[None]:
    with (stack.folder / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "penstock.worker"],
            env=stack.environment(),
            cwd=stack.folder,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            yield
        finally:
            process.terminate()
            process.wait(40)


@dataclass
class Container:
    """The Lambda runtime: it receives messages, calls the handler, and deletes those that the handler does not name."""

    stack: Stack
    process: subprocess.Popen[str]
    seconds: float = 900
    invocations: int = 0

    def turn(self) -> None:
        for name, url in self.stack.made.queues.items():
            most = 1 if name.startswith(Stage.EXTRACT) else 10
            messages = self.stack.clients.sqs.receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=most,
                MessageSystemAttributeNames=["All"],
                MessageAttributeNames=["All"],
                VisibilityTimeout=60,
            ).get("Messages", [])
            if messages:
                self._invoke(url, messages)

    def _invoke(self, url: str, messages: list[Any]) -> None:
        records = [record_of(url, message) for message in messages]
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        asked = {"module": "penstock.lambdas.stages", "event": {"Records": records}, "seconds": self.seconds}
        print(json.dumps(asked), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        assert line, (self.stack.folder / "lambda.log").read_text()[-3000:]
        failed = {each["itemIdentifier"] for each in json.loads(line)["batchItemFailures"]}
        self.invocations += 1
        for message in messages:
            if message["MessageId"] not in failed:
                self.stack.clients.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


@contextmanager
def container(stack: Stack) -> Iterator[Container]:
    with (stack.folder / "lambda.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.lambda_program"],
            env=stack.environment(),
            cwd=stack.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        try:
            yield Container(stack, process)
        finally:
            process.kill()
            process.wait()


def eventually(what: str, holds: Callable[[], bool], each: Callable[[], object], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, what
        each()


@pytest.fixture(scope="module")
def emulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("emulator") / "log"
    with (
        emulator(ROOT / ".venv-emulator/bin/python", free_port(), log) as running,
        pytest.MonkeyPatch.context() as patched,
    ):
        for name, value in AWS.items():
            patched.setenv(name, value)
        yield running.url


def made(name: str, endpoint: str, folder: Path) -> Stack:
    clients = aws_clients(endpoint)
    (folder / name).mkdir()
    return Stack(name, endpoint, clients, provision(clients, ROOT / "template.yaml", name), folder / name)


def run_all(stack: Stack, each: Callable[[], object]) -> None:
    stack.receive()
    eventually("all are final", stack.is_final, each)
    request_removal(stack.services(), TENANT, DocumentId("removed"))
    eventually("it is removed", lambda: stack.record("removed").status is Status.DELETED, each)
    eventually("the queues are empty", lambda: not stack.waiting(), each)


@pytest.fixture(scope="module")
def by_worker(emulated: str, tmp_path_factory: pytest.TempPathFactory) -> Stack:
    stack = made("by-worker", emulated, tmp_path_factory.mktemp("worker"))
    with worker(stack):
        run_all(stack, lambda: time.sleep(0.2))
    return stack


@pytest.mark.parametrize(
    "seconds", [900, CHECKPOINT_BEFORE_END.total_seconds() - 1], ids=["in one run", "handed on at each shard"]
)
def test_each_stage_leaves_the_same_in_both_runtimes(
    seconds: float, by_worker: Stack, emulated: str, tmp_path: Path
) -> None:
    stack = made(f"by-lambda-{int(seconds)}", emulated, tmp_path)
    with ExitStack() as running:
        runtime = running.enter_context(container(stack))
        runtime.seconds = seconds
        run_all(stack, runtime.turn)
    statuses = {ident: record.status for ident, record in stack.records().items()}
    assert statuses == {
        "one-shard": Status.INDEXED,
        "several-shards": Status.INDEXED,
        "locked": Status.FAILED,
        "without-text": Status.NO_TEXT,
        "removed": Status.DELETED,
    }
    expected, found = by_worker.records(), stack.records()
    epochs = {ident: record.lease.epoch for ident, record in found.items()}
    assert (epochs["several-shards"] > 3) is (seconds < 900)
    assert _but_epochs(found) == _but_epochs(expected)
    assert by_worker.index()
    assert stack.index() == by_worker.index()


def _but_epochs(records: dict[str, Document]) -> dict[str, Document]:
    """The record without epochs: a checkpoint takes one more lease for the same work."""
    return {
        ident: replace(record, lease=Lease(attempts=record.lease.attempts, until=record.lease.until))
        for ident, record in records.items()
    }
