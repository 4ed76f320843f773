"""The stage consumer: what a message runs, and what becomes of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from penstock.domain.status import Status
from penstock.domain.task import QUEUES, Message, Stage
from penstock.lambdas.stages import CHECKPOINT_BEFORE_END, MARGIN, Consumer
from penstock.pipeline.run import Done, KeepLease, Outcome, Redeliver, run
from penstock.records.claim import Claim
from penstock.services import Limits, Services
from penstock.settings import Settings
from tests.support.lambda_events import Invocation, sample
from tests.support.world import TENANT, World, prose

BASE = "https://sqs.us-east-1.amazonaws.com/000000000000/penstock-"
SETTINGS = Settings(
    queues={name: BASE + name for name in QUEUES}, dead_letters={stage.value: f"{BASE}{stage}-dead" for stage in Stage}
)


@dataclass
class FakeSqs:
    """Remembers its requests, and does not answer when it is down."""

    down: bool = False
    visible_in: dict[str, int] = field(default_factory=dict)
    sent: list[tuple[str, str, str]] = field(default_factory=list)

    def change_message_visibility(self, *, QueueUrl: str, ReceiptHandle: str, VisibilityTimeout: int) -> None:  # noqa: N803
        self._answer()
        assert QueueUrl.startswith(BASE)
        self.visible_in[ReceiptHandle] = VisibilityTimeout

    def send_message(self, *, QueueUrl: str, MessageBody: str, MessageAttributes: Any) -> None:  # noqa: N803
        self._answer()
        self.sent.append((QueueUrl, MessageBody, MessageAttributes["reason"]["StringValue"]))

    def _answer(self) -> None:
        if self.down:
            raise EndpointConnectionError(endpoint_url=BASE)


@dataclass
class ScriptedRun:
    """Gives the outcome that is set for the document's id, and remembers the messages that it ran."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    ran: list[Message] = field(default_factory=list)
    services: list[Services] = field(default_factory=list)

    def __call__(self, services: Services, message: Message, keep: KeepLease) -> Outcome:
        self.ran.append(message)
        self.services.append(services)
        return self.outcomes.get(message.document, Done())


@pytest.fixture
def sqs() -> FakeSqs:
    return FakeSqs()


@pytest.fixture
def world(world: World) -> World:
    world.reader.seeks = True
    return world


def consumer(world: World, sqs: FakeSqs, run: Callable[..., Outcome]) -> Consumer:
    return Consumer(SETTINGS, lambda: world.services, sqs, run)  # type: ignore[arg-type]


def kept(answer: Any) -> Iterator[str]:
    return (each["itemIdentifier"] for each in answer["batchItemFailures"])


def test_one_message_of_a_batch_fails_alone_and_poison_is_not_retried(world: World, sqs: FakeSqs) -> None:
    scripted = ScriptedRun({"sluice": Redeliver(timedelta(seconds=12.5), "leased")})
    event = sample("stages-embed")
    answer = consumer(world, sqs, scripted)(event, Invocation())
    _, poison, back = event["Records"]
    assert list(kept(answer)) == [back["messageId"]]
    assert sqs.visible_in == {back["receiptHandle"]: 13}
    assert [message.document for message in scripted.ran] == ["weir", "sluice"]
    ((queue, body, reason),) = sqs.sent
    assert (queue, body) == (f"{BASE}embed-dead", poison["body"])
    assert "no JSON" in reason


@pytest.mark.invariant("I6")
def test_a_sweep_runs_here_as_in_a_worker(world: World, sqs: FakeSqs) -> None:
    """I6."""
    world.upload("The weir was opened.")
    world.queue.sent.clear()
    world.clock.pass_time(world.limits.resend_after)
    event = sample("stages-delete")
    event["Records"][0]["body"] = json.dumps({"headers": {"task": "penstock.sweep", "id": "1"}, "body": "[[], {}, {}]"})
    assert not list(kept(consumer(world, sqs, run)(event, Invocation())))
    assert len(world.queue.sent) == 1


def test_a_message_runs_with_the_ids_that_it_carries(world: World, sqs: FakeSqs) -> None:
    scripted = ScriptedRun()
    for stage in Stage:
        consumer(world, sqs, scripted)(sample(f"stages-{stage}"), Invocation())
    assert scripted.ran[0] == Message(Stage.EXTRACT, "acme", "weir", 1767225600000)
    assert scripted.ran[1] == Message(Stage.EMBED, "acme", "weir", 1767225600000, build=1, shard=0)
    assert scripted.ran[-1] == Message(Stage.DELETE, "acme", "weir", 1767225600000)


def test_a_lease_lasts_as_long_as_the_invocation_and_the_work_knows_when_to_stop(world: World, sqs: FakeSqs) -> None:
    scripted = ScriptedRun()
    invocation = Invocation(seconds=600)
    consumer(world, sqs, scripted)(sample("stages-extract"), invocation)
    (services,) = scripted.services
    assert services.limits.lease == timedelta(seconds=600) + MARGIN
    assert services.stop_request() is None
    invocation.seconds = CHECKPOINT_BEFORE_END.total_seconds()
    stop_request = services.stop_request()
    assert stop_request is not None
    assert "Workers=ecs" in stop_request.way_out


@pytest.mark.invariant("I9")
def test_services_are_made_once_and_not_before_the_first_message(world: World, sqs: FakeSqs) -> None:
    """I9."""
    made: list[Services] = []

    def make() -> Services:
        made.append(world.services)
        return made[-1]

    consume = Consumer(SETTINGS, make, sqs, ScriptedRun())  # type: ignore[arg-type]
    assert not made
    for _ in range(2):
        consume(sample("stages-embed"), Invocation())
    assert len(made) == 1


@pytest.mark.invariant("I4")
def test_a_bug_outside_the_pipeline_leaves_the_message_to_come_again(world: World, sqs: FakeSqs) -> None:
    """I4: its visibility is the back-off."""

    def broken() -> Services:
        raise RuntimeError("no such setting")

    event = sample("stages-embed")
    answer = Consumer(SETTINGS, broken, sqs, run)(event, Invocation())  # type: ignore[arg-type]
    first, _, third = event["Records"]
    assert list(kept(answer)) == [first["messageId"], third["messageId"]]
    assert 0 <= sqs.visible_in[first["receiptHandle"]] <= Limits().backoff.total_seconds()
    assert 0 <= sqs.visible_in[third["receiptHandle"]] <= 4 * Limits().backoff.total_seconds()


def test_a_message_that_cannot_be_started_in_time_is_returned_at_once(world: World, sqs: FakeSqs) -> None:
    scripted, event = ScriptedRun(), sample("stages-extract")
    answer = consumer(world, sqs, scripted)(event, Invocation(seconds=5))
    assert list(kept(answer)) == [event["Records"][0]["messageId"]]
    assert list(sqs.visible_in.values()) == [0]
    assert not scripted.ran


def test_while_sqs_is_down_nothing_is_lost(world: World, sqs: FakeSqs) -> None:
    sqs.down = True
    event = sample("stages-embed")
    answer = consumer(world, sqs, ScriptedRun({"sluice": Redeliver(timedelta(0), "leased")}))(event, Invocation())
    _, poison, back = event["Records"]
    assert list(kept(answer)) == [poison["messageId"], back["messageId"]]


def test_the_pipeline_itself_runs_and_an_extract_stops_at_a_checkpoint_near_the_end(world: World, sqs: FakeSqs) -> None:
    received = world.upload(prose("a", 9), id="weir")
    event = sample("stages-extract")
    body = event["Records"][0]["body"].replace("1767225600000", str(received.document.generation))
    event["Records"][0]["body"] = body
    consume = consumer(world, sqs, run)
    shards = 0
    while answer := list(kept(consume(event, Invocation(seconds=CHECKPOINT_BEFORE_END.total_seconds() - 1)))):
        assert answer == [event["Records"][0]["messageId"]]
        assert list(sqs.visible_in.values()) == [0]
        shards += 1
    world.queue.sent.pop(0)
    world.drain()
    record = world.record(received)
    assert shards > 2
    assert (record.status, record.build, record.lease.attempts) == (Status.INDEXED, 1, 0)


def test_a_claim_in_lambda_is_not_renewed(world: World, sqs: FakeSqs) -> None:
    kept: list[Claim] = []

    def looking(services: Services, message: Message, keep: KeepLease) -> Outcome:
        def look(services: Services, claim: Claim) -> Any:
            kept.append(claim)
            return keep(services, claim)

        return run(services, message, look)

    received = world.upload("The weir was opened.", id="weir")
    event = sample("stages-extract")
    event["Records"][0]["body"] = event["Records"][0]["body"].replace(
        "1767225600000", str(received.document.generation)
    )
    assert not list(kept_ids := list(consumer(world, sqs, looking)(event, Invocation(60))["batchItemFailures"]))
    assert not kept_ids
    assert kept[0].document.lease.until == world.clock() + timedelta(seconds=60) + MARGIN
    assert world.record(received).tenant == TENANT
