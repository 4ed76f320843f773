"""The emulator of the local stack: what it keeps, how it ends, and what is created on it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError

from penstock.adapters.aws.clients import Clients, aws_clients
from penstock.domain.errors import Misconfigured
from penstock.local.emulator import emulator
from penstock.local.port import free_port
from penstock.local.provision import Provisioned, provision
from penstock.settings import Settings
from tests.support.paths import ROOT
from tests.support.processes import is_alive

PYTHON = ROOT / ".venv-emulator/bin/python"
TEMPLATE = ROOT / "template.yaml"
DEADLINE = 20.0


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")


@pytest.fixture
def port() -> int:
    return free_port()


def test_all_that_it_holds_survives_a_stop(tmp_path: Path, port: int) -> None:
    """A restart of the local stack loses nothing that was accepted."""
    with emulator(PYTHON, port, tmp_path / "log", state=tmp_path / "state") as running:
        clients = aws_clients(running.url)
        made = provision(clients, TEMPLATE, "penstock")
        for body in (b"one", b"two"):
            clients.s3.put_object(Bucket=made.bucket, Key="drop/t/s/a", Body=body)
        clients.s3.delete_object(Bucket=made.bucket, Key="drop/t/s/a")
        item = {"pk": "t/a", "sk": "record", "t": "t", "l": "1/a"}
        clients.dynamodb.put_item(TableName=made.table, Item={name: {"S": value} for name, value in item.items()})
        clients.sqs.send_message(QueueUrl=made.queues["extract-express"], MessageBody="waiting", MessageGroupId="t")
        # S3 sends an event for each of the three changes, and a test event for each of the four notifications.
        _until(lambda: _waiting(clients, made.arrivals) == 4 + 3)
        before = _held(clients, made)
        versions, markers = before["versions"], before["markers"]
        assert (len(versions), len(markers)) == (2, 1)
        assert before["listed"] == ["t/a"]
        assert before["notifications"] == 4
    with emulator(PYTHON, port, tmp_path / "log", state=tmp_path / "state") as running:
        clients = aws_clients(running.url)
        assert _held(clients, made) == before
        assert provision(clients, TEMPLATE, "penstock") == made
        assert _held(clients, made) == before
        older = clients.s3.get_object(Bucket=made.bucket, Key="drop/t/s/a", VersionId=versions[-1])
        assert older["Body"].read() == b"one"
        clients.s3.put_object(Bucket=made.bucket, Key="drop/t/s/b", Body=b"three")
        _until(lambda: _waiting(clients, made.arrivals) == before["arrivals"] + 1)


def _held(clients: Clients, made: Provisioned) -> dict[str, Any]:
    listed = clients.s3.list_object_versions(Bucket=made.bucket)
    records = clients.dynamodb.query(
        TableName=made.table,
        IndexName="list",
        KeyConditionExpression="t = :tenant",
        ExpressionAttributeValues={":tenant": {"S": "t"}},
    )
    queue: Any = clients.sqs.get_queue_attributes(QueueUrl=made.queues["extract-express"], AttributeNames=["All"])
    return {
        "versions": [each["VersionId"] for each in listed.get("Versions", [])],
        "markers": [each["VersionId"] for each in listed.get("DeleteMarkers", [])],
        "versioning": clients.s3.get_bucket_versioning(Bucket=made.bucket)["Status"],
        "notifications": len(
            clients.s3.get_bucket_notification_configuration(Bucket=made.bucket).get("QueueConfigurations", [])
        ),
        "listed": [each["pk"]["S"] for each in records["Items"]],
        "expiry": clients.dynamodb.describe_time_to_live(TableName=made.table)["TimeToLiveDescription"],
        "messages": _waiting(clients, made.queues["extract-express"]),
        "arrivals": _waiting(clients, made.arrivals),
        "redrive": queue["Attributes"]["RedrivePolicy"],
        "visibility": queue["Attributes"]["VisibilityTimeout"],
    }


def _waiting(clients: Clients, url: str) -> int:
    attributes = clients.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
    return int(attributes["Attributes"]["ApproximateNumberOfMessages"])


def test_without_a_state_folder_it_forgets(tmp_path: Path, port: int) -> None:
    for _ in range(2):
        with emulator(PYTHON, port, tmp_path / "log") as running:
            clients = aws_clients(running.url)
            assert clients.s3.list_buckets()["Buckets"] == []
            provision(clients, TEMPLATE, "penstock")


def test_what_is_made_is_what_the_settings_read(tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with emulator(PYTHON, port, tmp_path / "log") as running:
        clients = aws_clients(running.url)
        made = provision(clients, TEMPLATE, "penstock", {"StageVisibility": "7", "ArrivalsVisibility": "9"})
        for name, value in made.environment().items():
            monkeypatch.setenv(name, value)
        settings = Settings.from_environment()
        for field in ("bucket", "table", "queues", "dead_letters", "arrivals"):
            assert getattr(settings, field) == getattr(made, field)
        assert {_visibility(clients, url) for url in made.queues.values()} == {7}
        assert _visibility(clients, made.arrivals) == 9
        with pytest.raises(Misconfigured, match="NoSuchThing"):
            provision(clients, TEMPLATE, "penstock", {"NoSuchThing": "1"})


def _visibility(clients: Clients, url: str) -> int:
    attributes = clients.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])
    return int(attributes["Attributes"]["VisibilityTimeout"])


def test_a_template_that_the_local_stack_cannot_follow_is_refused_by_name(tmp_path: Path, port: int) -> None:
    """Local and cloud cannot drift apart: what the local stack does not support is reported, not skipped."""
    text = TEMPLATE.read_text()
    versions = "      VersioningConfiguration:"
    spoiled = {
        "ObjectLockEnabled": text.replace(versions, f"      ObjectLockEnabled: true\n{versions}"),
        "depends on itself": text.replace("    DependsOn: ArrivalsPolicy", "    DependsOn: BucketPolicy"),
        "Gone": text.replace("!GetAtt ArrivalsDead.Arn", "!GetAtt Gone.Arn"),
        "Fn::Select": text.replace('!Sub "${AWS::StackName}-documents"', "!Select [0, [documents]]"),
    }
    with emulator(PYTHON, port, tmp_path / "log") as running:
        for named, template in spoiled.items():
            assert template != text
            path = tmp_path / "template.yaml"
            path.write_text(template)
            with pytest.raises(Misconfigured, match=named):
                provision(aws_clients(running.url), path, "penstock")


def test_a_table_of_another_shape_is_refused(tmp_path: Path, port: int) -> None:
    path = tmp_path / "template.yaml"
    path.write_text(TEMPLATE.read_text().replace("IndexName: due", "IndexName: late"))
    with emulator(PYTHON, port, tmp_path / "log") as running:
        provision(aws_clients(running.url), TEMPLATE, "penstock")
        with pytest.raises(Misconfigured, match="make clean-state"):
            provision(aws_clients(running.url), path, "penstock")


def test_a_port_in_use_names_the_setting(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with (
            pytest.raises(Misconfigured, match="PENSTOCK_EMULATOR_PORT"),
            emulator(PYTHON, other.getsockname()[1], tmp_path / "log"),
        ):
            raise AssertionError("it took a port that was in use")


def test_an_emulator_that_does_not_start_says_why(tmp_path: Path, port: int) -> None:
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho No module named ministack\nexit 3\n")
    program.chmod(0o755)
    with (
        pytest.raises(Misconfigured, match=r"status 3: No module named ministack"),
        emulator(program, port, tmp_path / "log"),
    ):
        raise AssertionError("it started")


def test_an_emulator_that_never_answers_is_given_up_and_ended(tmp_path: Path, port: int) -> None:
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 1000\n")
    program.chmod(0o755)
    with pytest.raises(Misconfigured, match="does not answer"), emulator(program, port, tmp_path / "log", ready=0.5):
        raise AssertionError("it answered")
    assert not is_alive(int((tmp_path / "pid").read_text()))


def test_it_ends_while_somebody_still_waits_for_messages(tmp_path: Path, port: int) -> None:
    with emulator(PYTHON, port, tmp_path / "log", patience=30) as running:
        clients = aws_clients(running.url)
        url = clients.sqs.create_queue(QueueName="queue")["QueueUrl"]
        asked = threading.Event()
        clients.sqs.meta.events.register("before-send.sqs", lambda **_: asked.set())
        threading.Thread(target=_wait_for_a_message, args=(clients, url), daemon=True).start()
        assert asked.wait(DEADLINE)
    assert running.process.returncode == 0, "it was killed"


def _wait_for_a_message(clients: Clients, url: str) -> None:
    with suppress(BotoCoreError):  # the connection is closed
        clients.sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)


def test_a_key_pressed_in_the_terminal_does_not_reach_it(tmp_path: Path, port: int) -> None:
    """Ctrl-C is for the supervisor, which stops the emulator after everything that uses it."""
    with emulator(PYTHON, port, tmp_path / "log") as running:
        assert os.getpgid(running.process.pid) == running.process.pid != os.getpgrp()
        assert os.getsid(running.process.pid) == running.process.pid


PARENT = """
import sys, time
from pathlib import Path
from penstock.adapters.aws.clients import aws_clients
from penstock.local.emulator import emulator
python, port, folder = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
with emulator(python, port, folder / "log", state=folder / "state") as running:
    aws_clients(running.url).sqs.create_queue(QueueName="queue")
    print(running.process.pid, flush=True)
    time.sleep(1000)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent was killed")
def test_it_ends_and_saves_its_state_when_its_parent_is_killed(tmp_path: Path, port: int) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, PYTHON, str(port), tmp_path], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    try:
        assert is_alive(child)
        parent.kill()
        parent.communicate()
        _until(lambda: not is_alive(child))
    finally:
        parent.kill()
        if is_alive(child):
            os.kill(child, signal.SIGKILL)
    with emulator(PYTHON, port, tmp_path / "log", state=tmp_path / "state") as running:
        assert aws_clients(running.url).sqs.get_queue_url(QueueName="queue")["QueueUrl"]


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not true():
        assert time.monotonic() < deadline, f"not within {DEADLINE} s"
        time.sleep(0.05)
