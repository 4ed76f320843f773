"""The Celery worker as a process of its own, with an emulated SQS: what it runs, what it leaves, how it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from penstock.domain.task import QUEUES, Stage
from penstock.local.emulator import emulator
from penstock.local.port import free_port
from tests.integration.faulty_gateway import answers, faulty_gateway, is_silent, reset
from tests.integration.worker_program import Journal
from tests.support.counting_proxy import Override
from tests.support.paths import ROOT

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

QUEUE = "extract-standard"
AWS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


def eventually(what: str, holds: Callable[[], Any], seconds: float = 30) -> Any:
    """Return what `holds` returns, once it is true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := holds():
            return found
        time.sleep(0.05)
    pytest.fail(f"not within {seconds} s: {what}")


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("emulator") / "log"
    with emulator(ROOT / ".venv-emulator" / "bin" / "python", free_port(), log) as running:
        yield running.url


@dataclass
class Process:
    """A worker, which is the leader of its own process group."""

    popen: subprocess.Popen[bytes]
    log: Path

    def says(self, words: str) -> bool:
        return words in self.log.read_text()

    def ask_to_stop(self) -> None:
        self.popen.send_signal(signal.SIGTERM)

    def exit_status(self, seconds: float = 30) -> int:
        return self.popen.wait(seconds)

    def members(self) -> list[int]:
        """The living processes of its group."""
        alive = []
        for entry in Path("/proc").iterdir():
            with suppress(OSError, ValueError):
                state, _, group = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
                if int(group) == self.popen.pid and state not in "ZX":
                    alive.append(int(entry.name))
        return alive


@dataclass
class Stack:
    """Queues of its own, and the workers on them."""

    sqs: SQSClient
    endpoint: str
    folder: Path
    visibility: int = 5
    prefix: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    _all: ExitStack = field(default_factory=ExitStack)
    _workers: int = 0

    def __post_init__(self) -> None:
        self.queues = {name: self._create(name) for name in QUEUES}
        self.dead_letters = {stage.value: self._create(f"{stage}-dead") for stage in Stage}
        self.journal = Journal(self.folder / "journal")

    def _create(self, name: str) -> str:
        return self.sqs.create_queue(QueueName=f"{self.prefix}-{name}")["QueueUrl"]

    def worker(
        self,
        *,
        endpoint: str | None = None,
        queues: Sequence[str] = QUEUES,
        given: Mapping[str, Any] = MappingProxyType({}),
        **options: Any,
    ) -> Process:
        """Start a worker, and wait until it receives. `given` has further settings."""
        settings = {
            "queues": self.queues,
            "dead_letters": self.dead_letters,
            "visibility_seconds": self.visibility,
            "worker_concurrency": 2,
            **given,
        }
        arguments = [str(self.folder / "journal"), settings, {"wait": 1, **options}, list(queues)]
        self._workers += 1
        process = self._all.enter_context(
            worker_process(
                [each if isinstance(each, str) else json.dumps(each) for each in arguments],
                endpoint or self.endpoint,
                self.folder / f"worker-{self._workers}.log",
            )
        )
        eventually("the worker is ready", lambda: process.says("ready: ") or process.popen.poll() is not None)
        return process

    def send_body(self, body: str, queue: str = QUEUE) -> str:
        return self.sqs.send_message(QueueUrl=self.queues[queue], MessageBody=body)["MessageId"]

    def send(self, document: str, queue: str = QUEUE) -> str:
        return self.send_body(envelope("penstock.extract", ids(document)), queue)

    def runs(self, document: str) -> int:
        return len(self.journal.read("began", document))

    def ended(self, document: str) -> int:
        return len(self.journal.read("ended", document))

    def receive(self, queue_url: str, visibility: int = 60) -> dict[str, Any] | None:
        answer = self.sqs.receive_message(
            QueueUrl=queue_url,
            VisibilityTimeout=visibility,
            MessageSystemAttributeNames=["ApproximateReceiveCount"],
            MessageAttributeNames=["All"],
        )
        return next(iter(answer.get("Messages", ())), None)

    def left(self, queue: str = QUEUE) -> int:
        """The number of messages in the queue, visible or not."""
        names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        found = self.sqs.get_queue_attributes(QueueUrl=self.queues[queue], AttributeNames=list(names))["Attributes"]
        return sum(int(found[name]) for name in names)

    def visible(self, queue: str = QUEUE) -> int:
        name = "ApproximateNumberOfMessages"
        found = self.sqs.get_queue_attributes(QueueUrl=self.queues[queue], AttributeNames=[name])["Attributes"]
        return int(found[name])

    def close(self) -> None:
        self._all.close()


@contextmanager
def worker_process(arguments: list[str], endpoint: str, log: Path) -> Iterator[Process]:
    with log.open("wb") as output:
        popen = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.worker_program", *arguments],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "AWS_ENDPOINT_URL": endpoint, **AWS},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield Process(popen, log)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(popen.pid, signal.SIGKILL)
        popen.wait()


@pytest.fixture(scope="module")
def sqs(endpoint: str) -> SQSClient:
    return boto3.client(
        "sqs",
        endpoint_url=endpoint,
        region_name=AWS["AWS_DEFAULT_REGION"],
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


@pytest.fixture
def stack(sqs: SQSClient, endpoint: str, tmp_path: Path) -> Iterator[Stack]:
    made = Stack(sqs, endpoint, tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="module")
def steady(sqs: SQSClient, endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, Process]]:
    """One worker for all tests that do not end it."""
    made = Stack(sqs, endpoint, tmp_path_factory.mktemp("steady"))
    try:
        yield made, made.worker()
    finally:
        made.close()


def ids(document: str) -> dict[str, object]:
    return {"tenant": "acme", "document": document, "generation": 1}


def envelope(task: str | None, arguments: object, **headers: object) -> str:
    ident = str(uuid.uuid4())
    return json.dumps(
        {
            "body": json.dumps([[], arguments, {}]),
            "content-type": "application/json",
            "content-encoding": "utf-8",
            "headers": {"lang": "py", "task": task, "id": ident} | headers,
            "properties": {"correlation_id": ident, "delivery_tag": ident, "delivery_info": {}},
        }
    )


def test_a_ping_is_answered(steady: tuple[Stack, Process]) -> None:
    stack, _ = steady
    stack.send_body(envelope("penstock.ping", {"tenant": "acme", "ping": "one"}))
    eventually("the ping is answered", lambda: stack.journal.read("pinged", "one"))


def test_a_done_task_leaves_nothing_in_its_queue(steady: tuple[Stack, Process]) -> None:
    stack, _ = steady
    stack.send("quick-0-all", "extract-express")
    eventually("it ran", lambda: stack.ended("quick-0-all"))
    eventually("its message is deleted", lambda: stack.left("extract-express") == 0)


POISON = {
    "no JSON": ("}{", "no JSON"),
    "no envelope": ("[1, 2]", "not a JSON object"),
    "empty envelope": ("{}", "headers"),
    "no id": (envelope("penstock.extract", ids("quick-1"), id=None), "no id"),
    "no task": (envelope(None, ids("quick-1")), "no task"),
    "unknown task": (envelope("penstock.unknown", ids("quick-1")), "penstock.unknown"),
    "a task of Celery's": (envelope("celery.backend_cleanup", {}), "celery.backend_cleanup"),
    "a body that is no JSON": (json.dumps({**json.loads(envelope("penstock.extract", {})), "body": "{"}), "the body"),
    "a body of another shape": (json.dumps({**json.loads(envelope("penstock.extract", {})), "body": "{}"}), "the body"),
    "no arguments": (envelope("penstock.extract", {}), "exactly tenant, document, generation"),
    "an argument too many": (envelope("penstock.extract", ids("quick-1") | {"text": "secret"}), "exactly"),
    "an argument of another type": (envelope("penstock.extract", ids("quick-1") | {"generation": "1"}), "exactly"),
    "an id that is none": (envelope("penstock.extract", ids("../quick-1")), "not a document id"),
}


@pytest.mark.invariant("I1")
@pytest.mark.parametrize("kind", POISON)
def test_poison_goes_to_the_dead_letter_queue_with_its_reason_and_the_worker_lives_on(
    kind: str, steady: tuple[Stack, Process]
) -> None:
    """I1, and one bad message costs one message."""
    stack, worker = steady
    body, reason = POISON[kind]
    stack.send_body(body)
    dead = eventually("it is in the dead-letter queue", lambda: stack.receive(stack.dead_letters["extract"]))
    stack.sqs.delete_message(QueueUrl=stack.dead_letters["extract"], ReceiptHandle=dead["ReceiptHandle"])
    assert dead["Body"] == body
    assert reason in dead["MessageAttributes"]["reason"]["StringValue"]

    good = f"quick-0-{uuid.uuid4().hex}"
    stack.send(good)
    eventually("the next message ran", lambda: stack.ended(good))
    eventually("the poison is deleted", lambda: stack.left() == 0)
    assert worker.popen.poll() is None


@pytest.mark.invariant("I4")
def test_headers_of_a_stranger_have_no_effect(steady: tuple[Stack, Process]) -> None:
    """Headers can neither delay a message, nor let it expire, nor make the worker send others: only SQS decides when
    (I4)."""
    stack, _ = steady
    stack.send_body(
        envelope(
            "penstock.extract",
            ids("quick-0-strange"),
            eta="2999-01-01T00:00:00Z",
            expires="1999-01-01T00:00:00Z",
            timelimit="never",
            compression="bzip2",
        )
    )
    eventually("it ran", lambda: stack.ended("quick-0-strange"))


def test_a_task_longer_than_the_visibility_runs_once(steady: tuple[Stack, Process]) -> None:
    stack, _ = steady
    stack.send("sleep-8-long")
    eventually("it ran", lambda: stack.ended("sleep-8-long"))
    eventually("its message is deleted", lambda: stack.left() == 0)
    assert stack.runs("sleep-8-long") == 1


@pytest.mark.invariant("I5")
def test_a_task_that_raises_is_run_again_from_the_same_message(stack: Stack) -> None:
    """I5: what is neither Permanent nor Transient is a bug, and is treated as transient."""
    stack.visibility = 600
    worker = stack.worker()
    stack.send("raise-0-bug")
    eventually("it ran to its end", lambda: stack.ended("raise-0-bug"))
    assert stack.runs("raise-0-bug") == 2
    assert worker.says("RuntimeError('a bug')")
    eventually("its message is deleted", lambda: stack.left() == 0)


def test_a_pool_process_that_is_killed_costs_one_try(stack: Stack) -> None:
    stack.visibility = 600
    worker = stack.worker()
    stack.send("die-0-child")
    eventually("it ran to its end", lambda: stack.ended("die-0-child"))
    assert stack.runs("die-0-child") == 2
    assert worker.popen.poll() is None


@pytest.mark.invariant("I4")
@pytest.mark.parametrize(("visibility", "delay"), [(600, 3), (5, 8)])
def test_a_message_handed_back_comes_after_its_delay_as_the_same_message(
    visibility: int, delay: int, stack: Stack
) -> None:
    """I4: SQS alone redelivers. The delay is neither cut nor lengthened by the heartbeat."""
    stack.visibility = visibility
    document = f"back-{delay}-later"
    sent = stack.send(document)
    worker = stack.worker()
    began = eventually("it ran", lambda: stack.journal.read("began", document))[0]["at"]
    eventually("it was handed back", lambda: worker.says(f"again in {delay} s: asked to"))
    worker.ask_to_stop()
    assert worker.exit_status() == 0

    again = eventually("it is visible again", lambda: stack.receive(stack.queues[QUEUE]))
    assert time.time() - began >= delay
    assert again["MessageId"] == sent
    assert again["Attributes"]["ApproximateReceiveCount"] == "2"


def test_a_message_handed_back_runs_again(stack: Stack) -> None:
    stack.send("back-1-again")
    stack.worker()
    eventually("it ran to its end", lambda: stack.ended("back-1-again"))
    first, second = (run["at"] for run in stack.journal.read("began", "back-1-again"))
    assert second - first >= 1
    eventually("its message is deleted", lambda: stack.left() == 0)


def test_killing_the_worker_leaves_no_process_and_another_gets_its_message(stack: Stack) -> None:
    killed = stack.worker()
    stack.send("sleep-6-orphan")
    eventually("it runs", lambda: stack.runs("sleep-6-orphan"))
    assert len(killed.members()) == 3
    killed.popen.kill()
    killed.exit_status()
    eventually("its pool died with it", lambda: not killed.members())

    stack.worker()
    eventually("another ran it", lambda: stack.ended("sleep-6-orphan"))
    assert stack.runs("sleep-6-orphan") == 2


def test_stopping_lets_tasks_finish_keeps_their_messages_and_leaves_no_process(stack: Stack) -> None:
    """The heartbeat goes on while the pool drains, so that a worker that starts meanwhile does not run the task too."""
    stopping = stack.worker()
    stack.send("sleep-8-last")
    eventually("it runs", lambda: stack.runs("sleep-8-last"))
    stopping.ask_to_stop()
    stack.worker()
    assert stopping.exit_status() == 0
    assert not stopping.members()
    assert (stack.runs("sleep-8-last"), stack.ended("sleep-8-last")) == (1, 1)
    eventually("its message is deleted", lambda: stack.left() == 0)


def test_stopping_is_bounded_and_hands_back_what_did_not_end(stack: Stack) -> None:
    stack.visibility = 600
    # Longer than a receive request waits, which is the default: an abandoned request would take what is handed back.
    stopping = stack.worker(stop=3)
    for number in range(6):
        stack.send(f"sleep-600-{number}")
    eventually("two run", lambda: sum(stack.runs(f"sleep-600-{number}") for number in range(6)) == 2)
    stopping.ask_to_stop()
    assert stopping.exit_status(15) == 0
    assert not stopping.members()
    seen = set()
    eventually(
        "all are visible again, long before their time",
        lambda: ((found := stack.receive(stack.queues[QUEUE])) and seen.add(found["MessageId"])) or len(seen) == 6,
    )


def test_stopping_hands_back_at_once_what_no_process_has_started(stack: Stack) -> None:
    """Other workers need not wait for the tasks that the stopping worker finishes."""
    stack.visibility = 600
    stopping = stack.worker(given={"worker_concurrency": 1, "worker_prefetch_multiplier": 4})
    stack.send("sleep-6-first")
    eventually("it runs", lambda: stack.runs("sleep-6-first"))
    for number in range(3):
        stack.send(f"quick-0-{number}")
    eventually("they are held", lambda: not stack.visible())
    stopping.ask_to_stop()
    stack.worker()
    eventually("the other ran them", lambda: all(stack.ended(f"quick-0-{number}") for number in range(3)))
    assert not stack.ended("sleep-6-first")
    assert stopping.exit_status() == 0
    assert stack.runs("sleep-6-first") == 1
    eventually("all are deleted", lambda: stack.left() == 0)


@pytest.mark.invariant("I4")
def test_a_stop_asks_running_tasks_to_hand_back_at_their_next_checkpoint(stack: Stack) -> None:
    """I4: they are handed back on purpose, so at once and without an attempt."""
    stack.visibility = 600
    stopping = stack.worker()
    stack.send("steps-0-long")
    eventually("it runs", lambda: stack.runs("steps-0-long"))
    stopping.ask_to_stop()
    assert stopping.exit_status() == 0
    assert stack.journal.read("halted", "steps-0-long")
    stack.worker()
    eventually("another ran it, long before its visibility ended", lambda: stack.ended("steps-0-long"))


def test_a_task_that_finds_no_checkpoint_is_interrupted_before_the_worker_has_to_end(stack: Stack) -> None:
    stack.visibility = 600
    stopping = stack.worker(stop=8)
    stack.send("deaf-0-long")
    eventually("it runs", lambda: stack.runs("deaf-0-long"))
    stopping.ask_to_stop()
    assert stopping.exit_status(15) == 0
    assert stack.journal.read("interrupted", "deaf-0-long")
    assert not stopping.says("are killed")
    assert not stopping.members()
    stack.worker()
    eventually("another ran it, long before its visibility ended", lambda: stack.ended("deaf-0-long"))


def test_a_process_group_that_is_signalled_hands_back_too(stack: Stack) -> None:
    """Some supervisors signal all processes of a group."""
    stack.visibility = 600
    stopping = stack.worker()
    stack.send("steps-0-group")
    eventually("it runs", lambda: stack.runs("steps-0-group"))
    os.killpg(stopping.popen.pid, signal.SIGTERM)
    assert stopping.exit_status() == 0
    assert stack.journal.read("halted", "steps-0-group")


def test_what_comes_to_a_worker_that_stops_is_handed_back(stack: Stack) -> None:
    """SQS answers a receive request even after its client has gone, so the worker waits for the answer."""
    stack.visibility = 600
    stopping = stack.worker(queues=[QUEUE], wait=5)
    stopping.ask_to_stop()
    eventually("it stops", lambda: stopping.says("stopping: "))
    stack.send("quick-0-late")
    assert stopping.exit_status() == 0
    assert not stack.runs("quick-0-late")
    eventually("it is visible", lambda: stack.receive(stack.queues[QUEUE]), seconds=5)


def test_a_task_over_its_soft_limit_is_told_and_comes_again(stack: Stack) -> None:
    stack.visibility = 600
    stack.worker(given={"task_soft_time_limit": {"extract": 1}})
    stack.send("steps-0-soft")
    eventually("it ran to its end", lambda: stack.ended("steps-0-soft"))
    assert len(stack.journal.read("limited", "steps-0-soft")) == 1


def test_a_task_over_its_hard_limit_costs_its_process_and_comes_again(stack: Stack) -> None:
    stack.visibility = 600
    worker = stack.worker(given={"task_soft_time_limit": 1, "task_time_limit": {"extract": 2}})
    stack.send("deaf-0-hard")
    eventually("it ran to its end", lambda: stack.ended("deaf-0-hard"))
    (first, second) = (run["pid"] for run in stack.journal.read("began", "deaf-0-hard"))
    assert first not in worker.members()
    assert second in worker.members()
    eventually("its message is deleted", lambda: stack.left() == 0)


@pytest.mark.parametrize("setting", ["worker_max_tasks_per_child", "worker_max_memory_per_child"])
def test_processes_are_replaced_as_celery_s_settings_say(setting: str, stack: Stack) -> None:
    stack.worker(given={setting: 1, "worker_concurrency": 1})
    for number in range(2):
        stack.send(f"quick-0-{number}")
    eventually("both ran", lambda: all(stack.ended(f"quick-0-{number}") for number in range(2)))
    pids = {stack.journal.read("ended", f"quick-0-{number}")[0]["pid"] for number in range(2)}
    assert len(pids) == 2


FAULTS: dict[str, Override] = {
    "503": answers(503, b"Service Unavailable"),
    "500 without a body": answers(500, b""),
    "429": answers(429, b'{"__type": "RequestThrottled"}'),
    "403": answers(403, b'{"__type": "ExpiredToken"}'),
    "400": answers(400, b'{"__type": "com.amazonaws.sqs#QueueDoesNotExist"}'),
    "nothing": answers(200, b""),
    "no JSON": answers(200, b"<html>Sign in to the network</html>"),
    "a list": answers(200, b"[]"),
    "a word": answers(200, b'"hello"'),
    "messages that are none": answers(200, b'{"Messages": "many"}'),
    "messages of no shape": answers(200, b'{"Messages": [7, null, "x"]}'),
    "messages without a receipt": answers(200, b'{"Messages": [{"Body": "{}"}, {"ReceiptHandle": "x"}, {}]}'),
    "reset": reset,
    "silence": is_silent,
}


@pytest.mark.parametrize("kind", FAULTS)
def test_no_answer_of_sqs_ends_the_worker(kind: str, stack: Stack) -> None:
    with faulty_gateway(stack.endpoint) as gateway:
        gateway.spoil(FAULTS[kind], times=4)
        worker = stack.worker(endpoint=gateway.url, queues=[QUEUE, "delete"], pause=0.1, answer_timeout=1)
        eventually("the faults were met", lambda: gateway.spoiled == 4)
        stack.send("quick-0-after")
        eventually("the next message ran", lambda: stack.ended("quick-0-after"))
        assert worker.popen.poll() is None
        assert len(worker.members()) == 3


@pytest.mark.parametrize("kind", ["503", "nothing", "no JSON", "reset", "silence"])
@pytest.mark.parametrize("operation", ["DeleteMessageBatch", "ChangeMessageVisibilityBatch"])
def test_no_answer_to_a_deletion_or_a_delay_ends_the_worker_or_loses_the_message(
    operation: str, kind: str, stack: Stack
) -> None:
    """At worst the message comes again when its visibility ends, and its stage is found done."""
    with faulty_gateway(stack.endpoint) as gateway:
        gateway.spoil(FAULTS[kind], times=2, operation=operation)
        worker = stack.worker(endpoint=gateway.url, queues=[QUEUE], answer_timeout=1)
        stack.send("back-0-soon")
        eventually("it ran to its end", lambda: stack.ended("back-0-soon"))
        eventually("the faults were met", lambda: gateway.spoiled == 2)
        eventually("its message is deleted", lambda: stack.left() == 0)
        assert worker.popen.poll() is None


def test_a_receive_request_asks_for_a_visibility_of_its_own(stack: Stack) -> None:
    with faulty_gateway(stack.endpoint) as gateway:
        stack.worker(endpoint=gateway.url, queues=[QUEUE])
        asked = json.loads(eventually("it receives", lambda: gateway.received)[0])
    assert asked["VisibilityTimeout"] == stack.visibility
    assert asked["WaitTimeSeconds"] == 1


def test_a_worker_that_starts_before_sqs_waits_for_it(stack: Stack) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        worker = stack.worker(endpoint=f"http://127.0.0.1:{nobody.getsockname()[1]}", pause=0.1)
        eventually("it asks in vain", lambda: worker.log.read_text().count("ReceiveMessage: answer 599") > 3)
        assert worker.popen.poll() is None
