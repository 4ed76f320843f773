"""The messages that the API sends without Celery are ones that Celery runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from penstock.adapters.aws.queue import SqsTaskQueue
from penstock.adapters.celery.wire_format import decode
from penstock.domain.ids import TenantId
from penstock.domain.task import QUEUES, Lane, Message, Stage
from tests.contract.conftest import ROOT, Stack

EXTRACT = Message(Stage.EXTRACT, "acme", "report", 1700000000000)
EMBED = Message(Stage.EMBED, "acme", "report", 1700000000000, build=3, shard=12)
DELETE = Message(Stage.DELETE, "acme", "report", 1700000000000)


@pytest.fixture
def urls(ministack: Stack) -> dict[str, str]:
    prefix = uuid4().hex[:8]
    names = [*QUEUES, *(stage.value + "-dead" for stage in Stage)]
    return {name: ministack.clients.sqs.create_queue(QueueName=f"{prefix}-{name}")["QueueUrl"] for name in names}


@pytest.fixture
def queue(ministack: Stack, urls: dict[str, str]) -> SqsTaskQueue:
    return SqsTaskQueue(ministack.clients.sqs, urls, {stage: urls[f"{stage}-dead"] for stage in Stage})


@pytest.fixture
def ran(ministack: Stack, urls: dict[str, str], tmp_path: Path) -> Iterator[Path]:
    """The journal of a stock Celery worker that consumes all stage queues."""
    journal = tmp_path / "journal"
    journal.touch()
    with (tmp_path / "log").open("wb") as log:
        worker = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.contract.stock_worker",
                str(journal),
                json.dumps({name: urls[name] for name in QUEUES}),
            ],
            cwd=ROOT,
            env={
                "PATH": os.environ["PATH"],
                "AWS_ENDPOINT_URL": ministack.url,
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                "AWS_DEFAULT_REGION": "us-east-1",
            },
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield journal
    finally:
        worker.kill()
        worker.wait()


def test_a_stock_celery_worker_runs_what_the_queue_sends(queue: SqsTaskQueue, ran: Path) -> None:
    for message in (EXTRACT, EMBED, DELETE):
        queue.send(message, Lane.EXPRESS)
    queue.ping(TenantId("acme"), "one", Lane.BULK)

    deadline = time.monotonic() + 60
    while len(lines := ran.read_text().splitlines()) < 4:
        assert time.monotonic() < deadline, (ran.parent / "log").read_text()
        time.sleep(0.1)
    assert sorted(map(json.loads, lines)) == [
        ["penstock.delete", {"tenant": "acme", "document": "report", "generation": 1700000000000}],
        [
            "penstock.embed",
            {"tenant": "acme", "document": "report", "generation": 1700000000000, "build": 3, "shard": 12},
        ],
        ["penstock.extract", {"tenant": "acme", "document": "report", "generation": 1700000000000}],
        ["penstock.ping", {"tenant": "acme", "ping": "one"}],
    ]


@pytest.mark.invariant("I1")
@pytest.mark.parametrize("message", [EXTRACT, EMBED, DELETE], ids=lambda message: message.stage)
def test_our_worker_reads_what_the_queue_sends(
    message: Message, queue: SqsTaskQueue, ministack: Stack, urls: dict[str, str]
) -> None:
    """I1: a message carries ids, and nothing else."""
    queue.send(message, Lane.STANDARD)
    name = message.stage if message.stage is Stage.DELETE else f"{message.stage}-standard"
    envelope = decode(_received(ministack, urls[name]))
    assert envelope.task == f"penstock.{message.stage}"
    assert Message.of(message.stage, envelope.arguments) == message


def test_our_worker_reads_a_ping(queue: SqsTaskQueue, ministack: Stack, urls: dict[str, str]) -> None:
    queue.ping(TenantId("acme"), "one", Lane.STANDARD)
    envelope = decode(_received(ministack, urls["extract-standard"]))
    assert (envelope.task, envelope.arguments) == ("penstock.ping", {"tenant": "acme", "ping": "one"})


def test_a_dead_letter_can_be_sent_again_as_it_is(queue: SqsTaskQueue, ministack: Stack, urls: dict[str, str]) -> None:
    queue.dead_letter(EMBED, "tried too often")
    assert Message.of(Stage.EMBED, decode(_received(ministack, urls["embed-dead"])).arguments) == EMBED


def _received(stack: Stack, url: str) -> str:
    messages = stack.clients.sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5)["Messages"]
    return messages[0]["Body"]
