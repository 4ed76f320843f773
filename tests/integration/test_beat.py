"""Beat as a process of its own: what it sends, what it survives, how it ends."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import orjson
import pytest

from penstock.adapters.aws.clients import aws_clients
from penstock.adapters.celery.wire_format import Envelope, decode
from penstock.domain.task import QUEUES
from penstock.local.emulator import emulator
from penstock.local.port import free_port
from penstock.local.process import end
from tests.support.paths import ROOT

PYTHON = ROOT / ".venv-emulator/bin/python"
T = TypeVar("T")


@dataclass
class Beat:
    process: subprocess.Popen[bytes]
    folder: Path
    log: Path


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("ACCESS_KEY_ID", "test"), ("SECRET_ACCESS_KEY", "test"), ("REGION", "us-east-1")):
        monkeypatch.setenv(f"AWS_{name}", value)


@contextmanager
def beating(tmp_path: Path, url: str) -> Iterator[Beat]:
    """Run beat in an empty folder, with five sweeps a second."""
    queues = {name: f"{url}/000000000000/{name}" for name in QUEUES}
    folder, log = tmp_path / "empty", tmp_path / "log"
    folder.mkdir()
    settings = {
        "AWS_ENDPOINT_URL": url,
        "PENSTOCK_QUEUES": orjson.dumps(queues).decode(),
        "PENSTOCK_SWEEP_SECONDS": "0.2",
        "PYTHONUNBUFFERED": "1",
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "penstock.cli.main", "beat"],
            env={**os.environ, **settings},
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield Beat(process, folder, log)
    finally:
        end(process, 10)


def until(ask: Callable[[], T | None], what: str) -> T:
    deadline = time.monotonic() + 30
    while not (found := ask()):
        assert time.monotonic() < deadline, f"not within 30 s: {what}"
        time.sleep(0.05)
    return found


def received(url: str) -> list[Envelope]:
    """The messages of the delete queue, which is created if it does not exist."""
    sqs: Any = aws_clients(url).sqs
    queue = sqs.create_queue(QueueName="delete")["QueueUrl"]
    return [decode(each["Body"]) for each in sqs.receive_message(QueueUrl=queue).get("Messages", [])]


@pytest.mark.invariant("I6")
def test_it_asks_any_worker_for_a_sweep_and_goes_on_where_sqs_was_away(tmp_path: Path) -> None:
    """I6."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with beating(tmp_path, url) as beat:
        until(lambda: "Could not connect" in beat.log.read_text(), "it says that SQS does not answer")
        with emulator(PYTHON, port, tmp_path / "emulator.log"):
            (found,) = until(lambda: received(url), "a message")
    assert (found.task, found.arguments) == ("penstock.sweep", {})


def test_on_sigterm_it_ends_at_once_and_leaves_no_file(tmp_path: Path) -> None:
    with beating(tmp_path, f"http://127.0.0.1:{free_port()}") as beat:
        until(lambda: "ready: " in beat.log.read_text(), "it is ready")
        beat.process.terminate()
        assert beat.process.wait(10) == 0
        assert list(beat.folder.iterdir()) == []
