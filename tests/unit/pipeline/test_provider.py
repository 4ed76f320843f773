"""An embedding provider that is out, that refuses more, or that has a budget: documents wait, and none fails.

The tests run the real embedder over HTTP in a Penstock in memory. The clock moves from one message to the next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from heapq import heappop, heappush
from itertools import count

import pytest

from penstock.adapters.embedders.openai import OpenAIEmbedder
from penstock.domain.errors import NotYet
from penstock.domain.ids import DocumentId
from penstock.domain.provider_budget import UNLIMITED, Amount
from penstock.domain.status import Status
from penstock.domain.task import Lane, Message, Stage
from penstock.operations.dead_letter_handling import Settled, settle
from penstock.pipeline.run import Redeliver
from penstock.rate_limit.limiter import RateLimiter
from penstock.rate_limit.local_budget import LocalBudgetTable
from tests.support.stubs.openai_server import Failure, OpenAIServer
from tests.support.world import TENANT, World, prose

MINUTE = timedelta(minutes=1)


@dataclass
class Attended:
    """A world whose queue keeps its delays, and several workers that share one budget and take turns."""

    world: World
    workers: list[OpenAIEmbedder]
    delays: list[tuple[datetime, int, Message]] = field(default_factory=list)
    received: dict[Message, int] = field(default_factory=dict)
    """The number of times that each message was received."""
    attempts: dict[str, int] = field(default_factory=dict)
    """The maximum number of attempts that any shard of a document used before it was published."""
    started: datetime = field(init=False)

    def __post_init__(self) -> None:
        self.started = self.world.clock()

    @property
    def passed(self) -> timedelta:
        return self.world.clock() - self.started

    def work(self, until: timedelta = timedelta(days=30)) -> None:
        """Handle every message as soon as it is visible, until there are none, or until this much time has passed."""
        numbers, workers = count(), 0
        while self._queued(numbers) and self.delays[0][0] <= self.started + until:
            at, _, message = heappop(self.delays)
            self.world.clock.pass_time(max(at - self.world.clock(), timedelta(0)))
            self.received[message] = self.received.get(message, 0) + 1
            workers += 1
            self.world.embedder = self.workers[workers % len(self.workers)]  # type: ignore[assignment]
            outcome = self.world.run(message)
            self._count_attempts(message)
            if isinstance(outcome, Redeliver):
                heappush(self.delays, (self.world.clock() + outcome.delay, next(numbers), message))

    def _queued(self, numbers: Iterator[int]) -> bool:
        sent, self.world.queue.sent = self.world.queue.sent, []
        for message, _, delay in sent:
            heappush(self.delays, (self.world.clock() + delay, next(numbers), message))
        return bool(self.delays)

    def _count_attempts(self, message: Message) -> None:
        record = self.world.record(DocumentId(message.document))
        build = self.world.documents.read_build(TENANT, record.id, record.build_id)
        used = [work.attempts for work in build.leases.values()] if build else []
        self.attempts[record.id] = max(self.attempts.get(record.id, 0), *used, record.lease.attempts)


def attended(provider: OpenAIServer, workers: int = 3, limit: Amount = UNLIMITED, batch: int = 16) -> Attended:
    world, table = World(), LocalBudgetTable()
    limiters = [RateLimiter(table, "m", world.clock, limit=limit) for _ in range(workers)]
    return Attended(world, [OpenAIEmbedder("m", 32, batch, texts=each) for each in limiters])


@pytest.mark.invariant("I4")
def test_two_minutes_without_a_provider_fail_no_document_and_cost_none_more_than_an_attempt(
    provider: OpenAIServer,
) -> None:
    """I4: an attempt is counted for what failed, never for waiting."""
    there = attended(provider)
    outage = 2 * MINUTE
    provider.rule = lambda: Failure(503) if there.passed < outage else None
    sent = [there.world.upload(prose(f"document {number}", 2), id=f"d{number}") for number in range(10)]
    there.work(until=outage - timedelta(seconds=1))
    assert provider.requests < 10, "nobody asks a provider that is out but to find out"
    assert {there.world.record(each).status for each in sent} == {Status.EMBEDDING}
    assert there.world.record(sent[9]).failure is None or there.world.record(sent[9]).failure.code == "provider_waits"
    there.work()
    assert {there.world.record(each).status for each in sent} == {Status.INDEXED}
    assert sorted(there.attempts.values()) == [0] * 8 + [1] * 2, "of those who found out"
    assert not there.world.queue.letters
    assert there.passed < outage + 10 * MINUTE
    assert len(set(provider.texts) - {"word"}) == len([text for text in provider.texts if text != "word"])
    assert len(there.world.reader.read_files) == 10, "no file was read twice"


@pytest.mark.invariant("I4")
def test_a_night_without_a_provider_fails_no_document_either(provider: OpenAIServer) -> None:
    """I4. No message comes so often that its queue would give it up."""
    there = attended(provider)
    outage = timedelta(hours=8)
    provider.rule = lambda: Failure(0) if there.passed < outage else None
    sent = [there.world.upload(prose(f"document {number}", 2), id=f"d{number}") for number in range(3)]
    there.work()
    assert {there.world.record(each).status for each in sent} == {Status.INDEXED}
    assert max(there.received.values()) < 100
    assert max(there.attempts.values()) <= 2
    assert provider.requests < 150


@pytest.mark.invariant("I4")
def test_a_storm_of_refusals_fails_no_document_and_is_not_answered_with_more(provider: OpenAIServer) -> None:
    """I4: the provider accepts twelve requests a minute, and for five minutes none."""
    there = attended(provider)
    taken: dict[int, int] = {}
    refusals = 0

    def rule() -> Failure | None:
        nonlocal refusals
        minute = there.passed // MINUTE
        taken[minute] = taken.get(minute, 0) + 1
        if minute in range(2, 7) or taken[minute] > 12:
            refusals += 1
            return Failure(429, {"Retry-After": "20"})
        return None

    provider.rule = rule
    sent = [there.world.upload(prose(f"document {number}", 2), id=f"d{number}") for number in range(40)]
    there.work()
    records = [there.world.record(each) for each in sent]
    assert {record.status for record in records} == {Status.INDEXED}
    assert set(there.attempts.values()) == {0}
    assert refusals < 40, "each pause holds for all"
    assert len(set(provider.texts)) == len(provider.texts), "no text is paid for twice"


def test_a_budget_is_kept_by_all_workers_together_and_every_document_gets_through(provider: OpenAIServer) -> None:
    there = attended(provider, workers=4, limit=Amount(6, 1_000_000))
    taken: dict[int, int] = {}

    def rule() -> None:
        minute = int(there.world.clock().timestamp()) // 60
        taken[minute] = taken.get(minute, 0) + 1

    provider.rule = rule
    sent = [there.world.upload(prose(f"document {number}", 2), id=f"d{number}") for number in range(30)]
    there.work()
    assert {there.world.record(each).status for each in sent} == {Status.INDEXED}
    assert sum(taken.values()) == provider.requests == 30
    assert max(taken.values()) == 6
    assert set(there.attempts.values()) == {0}


def test_a_shard_that_has_to_wait_keeps_what_was_paid_for(provider: OpenAIServer) -> None:
    there = attended(provider, limit=Amount(2, 1_000_000), batch=1)
    received = there.world.upload(prose("a", 9))
    there.work()
    record = there.world.record(received)
    assert record.status is Status.INDEXED
    assert record.receipt is not None
    assert record.receipt.embedded == len(provider.texts) == len(set(provider.texts)) == record.receipt.chunks


def test_a_text_that_is_refused_is_named_and_costs_the_others_nothing(provider: OpenAIServer) -> None:
    there = attended(provider)
    provider.refuse = lambda text: "Paragraph 1 of" in text
    received = there.world.upload(prose("a", 3))
    there.work()
    record = there.world.record(received)
    assert record.receipt is not None
    assert (record.status, record.receipt.refused) == (Status.PARTIAL, "1")
    assert record.receipt.vectors == record.receipt.chunks - 1


def test_the_reason_that_a_document_waits_is_reported(provider: OpenAIServer) -> None:
    there = attended(provider, limit=Amount(1, 1_000_000))
    for number in range(2):
        there.world.upload(prose(f"document {number}", 9), id=f"d{number}")
    there.work(until=timedelta(seconds=30))
    failures = [there.world.record(id_).failure for id_ in (DocumentId("d0"), DocumentId("d1"))]
    assert any(each is not None and "budget of this minute" in each.message for each in failures)


@pytest.mark.invariant("I4")
def test_a_dead_letter_of_what_only_waited_is_asked_for_again(provider: OpenAIServer) -> None:
    """I4: a message that waits never fails its document, however often it was received."""
    there = attended(provider)
    world = there.world
    world.embedder.fail = [NotYet(why="its budget of this minute is used up", retry_after=30)]
    received = world.upload("The weir was opened in spring.")
    world.run(world.take())
    message = world.take()
    assert message.stage is Stage.EMBED
    assert settle(world.services, message, "it was received too often") is Settled.STALE, "it waits"
    world.clock.pass_time(timedelta(minutes=5))
    assert settle(world.services, message, "it was received too often") is Settled.ASKED_AGAIN
    assert [each for each, _, _ in world.queue.sent] == [message]
    world.drain()
    assert world.record(received).status is Status.INDEXED


@pytest.mark.invariant("I6", "I7")
def test_a_copy_of_a_message_that_waits_has_to_wait_too(provider: OpenAIServer) -> None:
    """I6, I7: a copy that the sweep sends neither hurries the message nor counts as an attempt."""
    there = attended(provider)
    world = there.world
    world.upload(prose("a", 9))
    world.run(world.take())
    message = world.take()
    world.embedder.fail = [NotYet(why="its budget of this minute is used up", retry_after=30)]
    first = world.run(message)
    assert isinstance(first, Redeliver)
    assert first.delay >= timedelta(seconds=30)
    second = world.run(message)
    assert isinstance(second, Redeliver)
    assert second.delay == first.delay
    assert not world.embedder.embedded
    world.queue.send(message, Lane.STANDARD)
    world.drain()
