"""The heartbeat: who may see a message, and when."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from threading import Condition
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from penstock.adapters.celery.wire_format import MAX_VISIBILITY
from penstock.worker.visibility import Heartbeat
from tests.support.counting_proxy import Answer, Override, Request, Sender, Watcher, counting_proxy


class FakeSqs:
    """Remembers each visibility that was set, and fails once for each of `failures`."""

    def __init__(self) -> None:
        self.failures: list[Exception] = []
        self.refuse: set[str] = set()
        self._set: list[tuple[str, str, int]] = []
        self._changed = Condition()
        self.largest = 0
        self.deleted: list[list[str]] = []

    def change_message_visibility_batch(self, *, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        with self._changed:
            self.largest = max(self.largest, len(Entries))
            if self.failures:
                raise self.failures.pop()
            taken = [each for each in Entries if each["ReceiptHandle"] not in self.refuse]
            self._set += [(QueueUrl, each["ReceiptHandle"], each["VisibilityTimeout"]) for each in taken]
            self._changed.notify_all()
            refused = [each for each in Entries if each not in taken]
            return {
                "Successful": [{"Id": each["Id"]} for each in taken],
                "Failed": [{"Id": each["Id"], "Code": "ReceiptHandleIsInvalid"} for each in refused],
            }

    def delete_message_batch(self, *, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        with self._changed:
            if self.failures:
                raise self.failures.pop()
            self.deleted.append([each["ReceiptHandle"] for each in Entries])
            self._changed.notify_all()
            return {"Successful": [{"Id": each["Id"]} for each in Entries]}

    def visibilities(self, receipt: str) -> list[int]:
        """The visibilities that were set for this message, in order."""
        with self._changed:
            return [seconds for _, each, seconds in self._set if each == receipt]

    def until(self, holds: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(holds, 10)


@pytest.fixture
def sqs() -> FakeSqs:
    return FakeSqs()


@pytest.fixture
def heartbeat(sqs: FakeSqs) -> Iterator[Heartbeat]:
    """A heartbeat that extends the messages thirty times a second."""
    made = Heartbeat(sqs, 0.1)  # type: ignore[arg-type]
    made.start()
    yield made
    made.end()


def test_what_is_held_is_extended_again_and_again(heartbeat: Heartbeat, sqs: FakeSqs) -> None:
    heartbeat.hold("a", "queue")
    sqs.until(lambda: len(sqs.visibilities("a")) >= 3)


def test_a_forgotten_message_is_not_extended_again(heartbeat: Heartbeat, sqs: FakeSqs) -> None:
    heartbeat.hold("a", "queue")
    heartbeat.hold("b", "queue")
    sqs.until(lambda: bool(sqs.visibilities("a")))
    heartbeat.forget("a")
    before = len(sqs.visibilities("b"))
    sqs.until(lambda: len(sqs.visibilities("b")) > before + 1)  # the beat under way is over
    seen = len(sqs.visibilities("a"))
    sqs.until(lambda: len(sqs.visibilities("b")) > before + 4)
    assert len(sqs.visibilities("a")) == seen


@pytest.mark.invariant("I4")
@pytest.mark.parametrize(("delay", "seconds"), [(0, 0), (0.2, 1), (7, 7), (-3, 0), (10**9, MAX_VISIBILITY)])
def test_a_delay_is_the_last_word_on_a_message(delay: float, seconds: int, heartbeat: Heartbeat, sqs: FakeSqs) -> None:
    """I4: it is set after the last extension, in whole seconds, and never shorter than requested."""
    heartbeat.hold("a", "queue")
    sqs.until(lambda: bool(sqs.visibilities("a")))
    heartbeat.return_message("a", delay)
    heartbeat.hold("b", "queue")
    sqs.until(lambda: len(sqs.visibilities("b")) >= 3)
    assert sqs.visibilities("a")[-1] == seconds


def test_a_message_is_returned_once(heartbeat: Heartbeat, sqs: FakeSqs) -> None:
    heartbeat.hold("a", "queue")
    heartbeat.return_message("a", 5)
    heartbeat.return_message("a", 9)
    sqs.until(lambda: 5 in sqs.visibilities("a"))
    heartbeat.end()
    assert sqs.visibilities("a")[-1] == 5


def test_a_beat_that_fails_is_made_up_for_by_the_next(heartbeat: Heartbeat, sqs: FakeSqs) -> None:
    sqs.failures = [EndpointConnectionError(endpoint_url="http://nowhere")] * 3
    heartbeat.hold("a", "queue")
    sqs.until(lambda: bool(sqs.visibilities("a")))


def test_a_delay_is_sent_again_after_a_failed_request(heartbeat: Heartbeat, sqs: FakeSqs) -> None:
    sqs.failures = [ClientError({"Error": {"Code": "ServiceUnavailable"}}, "ChangeMessageVisibilityBatch")]
    heartbeat.hold("a", "queue")
    heartbeat.return_message("a", 5)
    sqs.until(lambda: sqs.visibilities("a") == [5])


def test_a_refused_message_does_not_keep_others_from_being_extended(heartbeat: Heartbeat, sqs: FakeSqs) -> None:
    sqs.refuse = {"gone"}
    heartbeat.hold("gone", "queue")
    heartbeat.hold("a", "queue")
    sqs.until(lambda: bool(sqs.visibilities("a")))
    assert sqs.visibilities("gone") == []


def test_many_are_sent_ten_at_a_time_by_queue(heartbeat: Heartbeat, sqs: FakeSqs) -> None:
    for number in range(25):
        heartbeat.hold(f"a{number}", "one")
        heartbeat.hold(f"b{number}", "two")
    sqs.until(lambda: all(sqs.visibilities(f"{queue}{number}") for queue in "ab" for number in range(25)))
    assert sqs.largest == 10


def test_the_end_returns_all_that_is_held(sqs: FakeSqs) -> None:
    heartbeat = Heartbeat(sqs, 600)  # type: ignore[arg-type]
    heartbeat.start()
    for number in range(12):
        heartbeat.hold(f"a{number}", "queue")
    heartbeat.end()
    assert [sqs.visibilities(f"a{number}") for number in range(12)] == [[0]] * 12


def test_a_message_whose_task_should_have_been_killed_is_not_extended_again(heartbeat: Heartbeat, sqs: FakeSqs) -> None:
    heartbeat.hold("stuck", "queue")
    heartbeat.hold("a", "queue")
    heartbeat.task_started("stuck", 0)
    heartbeat.task_started("a", 600)
    sqs.until(lambda: len(sqs.visibilities("a")) >= 3)
    seen = len(sqs.visibilities("stuck"))
    assert seen <= 1  # a beat may have been on its way
    sqs.until(lambda: len(sqs.visibilities("a")) >= 6)
    assert len(sqs.visibilities("stuck")) == seen


def test_unstarted_messages_are_returned_and_started_ones_are_kept(sqs: FakeSqs) -> None:
    heartbeat = Heartbeat(sqs, 600)  # type: ignore[arg-type]
    heartbeat.start()
    heartbeat.hold("waits", "queue")
    heartbeat.hold("runs", "queue")
    heartbeat.task_started("runs", 600)
    heartbeat.return_unstarted()
    sqs.until(lambda: sqs.visibilities("waits") == [0])
    assert sqs.visibilities("runs") == []
    heartbeat.end()
    assert sqs.visibilities("runs") == [0]


def test_what_is_done_meanwhile_is_deleted_in_one_request(sqs: FakeSqs) -> None:
    heartbeat = Heartbeat(sqs, 600)  # type: ignore[arg-type]
    for number in range(12):
        heartbeat.hold(f"a{number}", "queue")
        heartbeat.delete(f"a{number}")
    heartbeat.start()
    heartbeat.end()
    assert [len(batch) for batch in sqs.deleted] == [10, 2]


def test_a_deletion_is_sent_again_after_a_failed_request(heartbeat: Heartbeat, sqs: FakeSqs) -> None:
    sqs.failures = [ClientError({"Error": {"Code": "ServiceUnavailable"}}, "DeleteMessageBatch")]
    heartbeat.hold("a", "queue")
    heartbeat.delete("a")
    sqs.until(lambda: sqs.deleted == [["a"]])


ALONE = """
import sys, boto3
from penstock.worker.visibility import Heartbeat
heartbeat = Heartbeat(boto3.client("sqs"), visibility=60)
before = set(sys.modules)
heartbeat.start()
heartbeat.hold("receipt", sys.argv[1])
heartbeat.delete("receipt")
heartbeat.end()
print(*sorted(set(sys.modules) - before))
"""


class Deleted(Watcher):
    """SQS, as it answers when everything went well."""

    def before_forwarding(self, request: Request, sender: Sender) -> Override | None:
        return lambda _: Answer(200, {"x-amzn-requestid": "1"}, b'{"Successful": [{"Id": "0"}], "Failed": []}')


def test_its_thread_imports_nothing() -> None:
    """A pool process that is forked during an import would find that module locked, by a thread that it does not have:
    its task would stand still until its hard limit."""
    with counting_proxy("http://127.0.0.1:1", Deleted()) as sqs:
        own = {"AWS_ENDPOINT_URL": sqs.url, "AWS_DEFAULT_REGION": "eu-central-1", "PATH": os.environ["PATH"]}
        keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
        visibilities = subprocess.run(
            [sys.executable, "-c", ALONE, f"{sqs.url}/queue"],
            env=own | keys,
            capture_output=True,
            text=True,
            check=True,
        )
        assert sqs.reset()["SQS.DeleteMessageBatch"] == 1
    assert visibilities.stdout.split() == []
