"""What every task queue promises; and for SQS, that a message is one of Celery's."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest
from celery import Celery
from celery.worker.request import Request
from kombu.transport.SQS import Channel
from kombu.transport.virtual import Message as KombuMessage

from penstock.adapters.aws.clients import aws_clients
from penstock.adapters.aws.queue import SqsTaskQueue
from penstock.domain.errors import BadRequest, Misconfigured, Transient
from penstock.domain.ids import TenantId
from penstock.domain.task import QUEUES, Lane, Message, Stage, queue_name
from penstock.ports import TaskQueue
from tests.contract.conftest import EVERYWHERE, Stack
from tests.support.fakes.queue import FakeTaskQueue

ON_AWS = pytest.mark.parametrize("stack", ["moto", "ministack"], indirect=True)
DEADLINE = 20.0


class Inbox:
    """The messages in the queues, whichever adapter keeps them."""

    def __init__(self, queue: FakeTaskQueue | None = None, stack: Stack | None = None) -> None:
        self._fake = queue
        self._stack = stack

    def taken(self, stage: Stage, lane: Lane, tenant: TenantId) -> Message | None:
        """The tenant's next message in this lane, or None if there is none now. It is taken out of the queue."""
        if self._fake is not None:
            return next((each for each, its, _ in self._fake.sent if (each.stage, its) == (stage, lane)), None)
        assert self._stack is not None
        found = received(self._stack, self._stack.provisioned.queues[queue_name(stage, lane)], tenant)
        return None if found is None else Message.of(stage, json.loads(json.loads(found["Body"])["body"])[1])

    def dead_letter_counts(self, stage: Stage, tenant: TenantId) -> tuple[Message, str] | None:
        if self._fake is not None:
            return next(iter(self._fake.letters), None)
        assert self._stack is not None
        found = received(self._stack, self._stack.provisioned.dead_letters[stage], tenant)
        if found is None:
            return None
        reason = found["MessageAttributes"]["reason"]["StringValue"]
        return Message.of(stage, json.loads(json.loads(found["Body"])["body"])[1]), reason


def received(stack: Stack, url: str, tenant: TenantId) -> dict[str, Any] | None:
    """The tenant's next message, deleted from the queue. Messages of other tests are dropped."""
    while True:
        answer = stack.clients.sqs.receive_message(
            QueueUrl=url, AttributeNames=["All"], MessageAttributeNames=["All"], MaxNumberOfMessages=1
        )
        for message in answer.get("Messages", []):
            stack.clients.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            if tenant in message["Body"]:
                found: Any = message
                return dict(found)
        if not answer.get("Messages"):
            return None


@pytest.fixture(params=EVERYWHERE)
def queue_and_inbox(request: pytest.FixtureRequest) -> tuple[TaskQueue, Inbox]:
    if request.param == "fake":
        fake = FakeTaskQueue()
        return fake, Inbox(fake)
    stack: Stack = request.getfixturevalue(request.param)
    return _queue(stack), Inbox(stack=stack)


def _messages(tenant: TenantId) -> Mapping[Stage, Message]:
    return {
        Stage.EXTRACT: Message(Stage.EXTRACT, tenant, "document", 1_763_719_200_000),
        Stage.EMBED: Message(Stage.EMBED, tenant, "document", 1_763_719_200_000, 3, 17),
        Stage.DELETE: Message(Stage.DELETE, tenant, "document", 1_763_719_200_000),
    }


@pytest.mark.invariant("I1")
@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize("lane", Lane)
def test_a_message_travels_by_the_queue_of_its_stage_and_lane(
    queue_and_inbox: tuple[TaskQueue, Inbox], tenant: TenantId, stage: Stage, lane: Lane
) -> None:
    """I1: the ids arrive, and nothing else."""
    queue, inbox = queue_and_inbox
    queue.send(_messages(tenant)[stage], lane)
    assert inbox.taken(stage, lane, tenant) == _messages(tenant)[stage]


def test_a_message_does_not_travel_by_another_lane(queue_and_inbox: tuple[TaskQueue, Inbox], tenant: TenantId) -> None:
    queue, inbox = queue_and_inbox
    queue.send(_messages(tenant)[Stage.EXTRACT], Lane.BULK)
    assert inbox.taken(Stage.EXTRACT, Lane.EXPRESS, tenant) is None
    assert inbox.taken(Stage.EXTRACT, Lane.STANDARD, tenant) is None
    assert inbox.taken(Stage.EXTRACT, Lane.BULK, tenant) is not None


@pytest.mark.invariant("I4")
@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize("reason", ["the file is damaged", "tried 8 times; the last time: «429»\nwait"])
def test_a_dead_letter_has_its_reason(
    queue_and_inbox: tuple[TaskQueue, Inbox], tenant: TenantId, stage: Stage, reason: str
) -> None:
    """I4."""
    queue, inbox = queue_and_inbox
    queue.dead_letter(_messages(tenant)[stage], reason)
    assert inbox.dead_letter_counts(stage, tenant) == (_messages(tenant)[stage], reason)


def test_the_dead_letters_of_each_stage_are_counted(queue_and_inbox: tuple[TaskQueue, Inbox], tenant: TenantId) -> None:
    queue, inbox = queue_and_inbox
    before = queue.dead_letter_counts()
    queue.dead_letter(_messages(tenant)[Stage.EMBED], "the file is damaged")
    assert queue.dead_letter_counts() == {**before, Stage.EMBED: before[Stage.EMBED] + 1}
    inbox.dead_letter_counts(Stage.EMBED, tenant)


@pytest.mark.parametrize("delay", [timedelta(seconds=-1), timedelta(minutes=15, milliseconds=1)])
def test_a_delay_that_sqs_cannot_keep_is_an_error(
    queue_and_inbox: tuple[TaskQueue, Inbox], tenant: TenantId, delay: timedelta
) -> None:
    queue, inbox = queue_and_inbox
    with pytest.raises(ValueError, match=r"day|0:15"):
        queue.send(_messages(tenant)[Stage.EXTRACT], Lane.STANDARD, delay=delay)
    assert inbox.taken(Stage.EXTRACT, Lane.STANDARD, tenant) is None


def test_the_check_passes_when_the_queues_exist(queue_and_inbox: tuple[TaskQueue, Inbox]) -> None:
    queue, _ = queue_and_inbox
    queue.check()


# Promises of SQS alone


@ON_AWS
def test_a_delayed_message_is_not_seen_before_its_time(stack: Stack, tenant: TenantId) -> None:
    """A delay is rounded up, so that it is never shorter than requested."""
    sent = time.monotonic()
    _queue(stack).send(_messages(tenant)[Stage.DELETE], Lane.STANDARD, delay=timedelta(seconds=0.2))
    found = _eventually(lambda: received(stack, stack.provisioned.queues["delete"], tenant))
    assert time.monotonic() - sent >= 0.2
    assert found is not None


@pytest.mark.invariant("I6")
@ON_AWS
def test_the_tenant_is_the_message_group(stack: Stack, tenant: TenantId) -> None:
    """I6: fair queues keep one tenant's backlog from delaying the others."""
    _queue(stack).send(_messages(tenant)[Stage.EXTRACT], Lane.STANDARD)
    found = _eventually(lambda: received(stack, stack.provisioned.queues["extract-standard"], tenant))
    assert found["Attributes"]["MessageGroupId"] == tenant


@ON_AWS
@pytest.mark.parametrize("reason", ["", "\x00\x1b[31m\ud800", "x" * 300_000])
def test_no_reason_keeps_a_message_from_the_dead_letter_queue(stack: Stack, tenant: TenantId, reason: str) -> None:
    _queue(stack).dead_letter(_messages(tenant)[Stage.EMBED], reason)
    assert _eventually(lambda: received(stack, stack.provisioned.dead_letters["embed"], tenant)) is not None


@ON_AWS
@pytest.mark.parametrize("stage", Stage)
def test_a_message_is_what_celery_itself_would_have_sent(stack: Stack, tenant: TenantId, stage: Stage) -> None:
    queue = queue_name(stage, Lane.BULK)
    _queue(stack).send(_messages(tenant)[stage], Lane.BULK)
    ours = _decoded(_eventually(lambda: received(stack, stack.provisioned.queues[queue], tenant)))
    with _celery(stack) as app:
        arguments = _messages(tenant)[stage].arguments()
        app.send_task(f"penstock.{stage}", kwargs=arguments, queue=queue, ignore_result=True)
        theirs = _decoded(_eventually(lambda: received(stack, stack.provisioned.queues[queue], tenant)))
    assert json.loads(ours.body) == json.loads(theirs.body)
    assert _lasting(ours.headers) == _lasting(theirs.headers)
    assert ours.headers["id"] == ours.headers["root_id"] == ours.properties["correlation_id"]
    assert (ours.content_type, ours.content_encoding) == (theirs.content_type, theirs.content_encoding)
    assert ours.delivery_info["routing_key"] == theirs.delivery_info["routing_key"] == queue
    assert ours.properties["delivery_mode"] == theirs.properties["delivery_mode"]


@ON_AWS
def test_the_worker_of_celery_understands_it(stack: Stack, tenant: TenantId) -> None:
    """A worker's Request finds the task, its id and its arguments, although the sender has no Celery."""
    _queue(stack).send(_messages(tenant)[Stage.EMBED], Lane.EXPRESS)
    message = _decoded(_eventually(lambda: received(stack, stack.provisioned.queues["embed-express"], tenant)))
    with _celery(stack) as app:
        ran: list[Message] = []

        @app.task(name="penstock.embed", shared=False)
        def embed(**arguments: object) -> None:
            ran.append(Message.of(Stage.EMBED, arguments))

        request = Request(message, app=app, decoded=False)
        assert (request.name, request.id, request.eta, request.expires) == (
            "penstock.embed",
            message.headers["id"],
            None,
            None,
        )
        app.tasks[request.name](*request.args, **request.kwargs)
    assert ran == [_messages(tenant)[Stage.EMBED]]


@ON_AWS
def test_a_ping_is_a_task_of_its_lane(stack: Stack, tenant: TenantId) -> None:
    _queue(stack).ping(tenant, "ping-1", Lane.EXPRESS)
    found = _decoded(_eventually(lambda: received(stack, stack.provisioned.queues["extract-express"], tenant)))
    assert found.headers["task"] == "penstock.ping"
    assert json.loads(found.body)[1] == {"tenant": tenant, "ping": "ping-1"}


@ON_AWS
def test_the_check_fails_when_a_queue_is_missing(stack: Stack) -> None:
    nowhere = {**stack.provisioned.queues, "delete": stack.provisioned.queues["delete"] + "-nowhere"}
    with pytest.raises(Misconfigured):
        SqsTaskQueue(stack.clients.sqs, nowhere, stack.provisioned.dead_letters).check()


@pytest.mark.invariant("I9")
@pytest.mark.usefixtures("credentials")
def test_an_address_that_does_not_answer_is_a_transient_failure(tenant: TenantId) -> None:
    """I9: no exception of the SDK leaves the adapter."""
    urls = dict.fromkeys(QUEUES, "http://127.0.0.1:9/000000000000/queue")
    queue = SqsTaskQueue(aws_clients("http://127.0.0.1:9").sqs, urls, {})
    with pytest.raises(Transient):
        queue.send(_messages(tenant)[Stage.EXTRACT], Lane.STANDARD)
    with pytest.raises(Transient):
        queue.check()


def test_sending_imports_neither_celery_nor_kombu() -> None:
    """A cold start of the API should not pay for them."""
    program = "import sys, penstock.adapters.aws.queue; sys.exit(not {'celery', 'kombu'}.isdisjoint(sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.invariant("I1")
def test_what_arrives_with_other_arguments_is_refused(tenant: TenantId) -> None:
    """I1."""
    arguments = _messages(tenant)[Stage.EXTRACT].arguments()
    with pytest.raises(BadRequest):
        Message.of(Stage.EXTRACT, {**arguments, "text": "the words"})


def _queue(stack: Stack) -> SqsTaskQueue:
    return SqsTaskQueue(stack.clients.sqs, stack.provisioned.queues, stack.provisioned.dead_letters)


def _eventually(found: Callable[[], dict[str, Any] | None]) -> dict[str, Any]:
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        if (it := found()) is not None:
            return it
        time.sleep(0.05)
    raise AssertionError(f"nothing came within {DEADLINE} s")


def _decoded(message: dict[str, Any]) -> KombuMessage:
    """The message that kombu's SQS channel reads from what it received."""
    channel = Channel.__new__(Channel)
    raw = message["Body"]
    payload = json.loads(channel._decode_python_message_body(raw))
    payload = channel._envelope_payload(payload, raw, message, "url")
    return KombuMessage(payload, channel=channel)


def _lasting(headers: Mapping[str, Any]) -> dict[str, Any]:
    """The headers without those that are new in each message, or that name the sender."""
    return {name: value for name, value in headers.items() if name not in {"id", "root_id", "origin"}}


def _celery(stack: Stack) -> Celery:
    urls = {name: {"url": url} for name, url in stack.provisioned.queues.items()}
    app = Celery("test", set_as_current=False, broker=f"sqs://test:test@{stack.url.removeprefix('http://')}")
    app.conf.update(
        broker_transport_options={
            "predefined_queues": urls,
            "is_secure": False,
            "sqs_base64_encoding": False,
            "body_encoding": None,
        },
        task_create_missing_queues=True,
        result_backend="disabled://",
    )
    return app
