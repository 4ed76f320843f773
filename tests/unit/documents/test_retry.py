"""Retry: what failed or was cancelled starts again, with attempts counted from zero and without the old error."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from penstock.documents.progress import task
from penstock.documents.receive import Received
from penstock.domain.document import REMEMBERED, Document
from penstock.domain.errors import BeingDeleted, Deleted, NotFound, NothingToRetry, PasswordRequired, Transient
from penstock.domain.status import Status
from penstock.domain.task import TaskState
from penstock.operations.dead_letter_handling import Settled, settle
from tests.support.world import TENANT, World, prose


def failed(world: World, text: str = "some text") -> Received:
    received = world.upload(text, id="one")
    world.reader.fail = PasswordRequired()
    world.drain()
    world.reader.fail = None
    assert world.record(received).status is Status.FAILED
    return received


def test_a_failed_document_starts_again_and_its_task_can_be_polled_again(world: World) -> None:
    received = failed(world)
    assert world.retry(received) == received.task
    seen = task(world.services, TENANT, received.task)
    assert (seen.state, seen.failure) == (TaskState.PENDING, None)
    world.drain()
    assert world.record(received).status is Status.INDEXED
    assert task(world.services, TENANT, received.task).state is TaskState.SUCCESS


@pytest.mark.invariant("I4")
def test_attempts_are_counted_from_zero(world: World) -> None:
    """I4."""
    received = world.upload(prose("a", 1))
    world.embedder.fail = [Transient(why="made to fail")] * 50
    world.drain()
    assert world.record(received).failure is not None
    world.embedder.fail = [Transient(why="made to fail")] * (world.limits.attempts - 1)
    world.retry(received)
    assert world.record(received).lease.attempts == 0
    world.drain()
    assert world.record(received).status is Status.INDEXED


def test_vectors_that_were_paid_for_are_kept(world: World) -> None:
    world.embedder.batch = 1
    received = world.upload(prose("a", 9))
    world.embedder.fail = [None] * 4 + [Transient(why="made to fail")] * 50
    world.drain()
    assert world.record(received).status is Status.FAILED
    paid = len(world.embedder.embedded)
    assert paid >= 4
    world.embedder.fail = []
    world.retry(received)
    world.drain()
    record = world.record(received)
    assert record.status is Status.INDEXED
    assert record.receipt is not None
    assert len(world.embedder.embedded) == len(set(world.embedder.embedded)) == record.receipt.chunks
    assert record.receipt.embedded == record.receipt.chunks - paid


def test_an_old_error_is_never_shown_on_a_new_attempt(world: World) -> None:
    received = failed(world)
    world.retry(received)
    seen: list[Document] = []
    while world.queue.sent:
        seen.append(world.record(received))
        world.run(world.take(), meanwhile=lambda: seen.append(world.record(received)))
    seen.append(world.record(received))
    assert [record.failure for record in seen] == [None] * len(seen)


def test_the_last_cause_is_kept_with_its_attempt_and_the_history_is_short(world: World) -> None:
    received = failed(world)
    for _ in range(REMEMBERED + 2):
        world.clock.pass_time(world.limits.lease)
        world.retry(received)
        world.reader.fail = Transient(why="the disk is slow" * 100)
        world.run(world.take())
        last = world.record(received).failure
        assert last is not None
        assert (last.code, last.attempt, last.at) == ("temporarily_unavailable", 1, world.clock())
        world.queue.sent.clear()
        world.reader.fail = PasswordRequired()
        world.clock.pass_time(world.limits.longest_backoff)
        world.sweep()
        world.drain()
        last = world.record(received).failure
        assert last is not None
        assert (last.code, last.attempt) == ("password_required", 2)
    record = world.record(received)
    assert [cause.code for cause in record.history] == ["password_required"] * REMEMBERED
    assert all(len(cause.message) <= 200 for cause in record.history)
    world.reader.fail = None
    world.retry(received)
    world.drain()
    assert (world.record(received).failure, world.record(received).history) == (None, ())


def test_new_bytes_have_no_history(world: World) -> None:
    received = failed(world)
    world.upload("other text", id="one")
    assert (world.record(received).failure, world.record(received).history) == (None, ())


def test_a_cancelled_document_can_be_retried(world: World) -> None:
    received = world.upload("some text")
    world.cancel(received)
    world.retry(received)
    world.drain()
    assert world.record(received).status is Status.INDEXED


def test_a_cancel_that_is_not_done_yet_is_taken_back(world: World) -> None:
    received = world.upload(prose("a", 9))
    world.run(world.take(), meanwhile=lambda: [world.cancel(received), world.retry(received)])
    world.drain()
    record = world.record(received)
    assert (record.status, set(world.builds(record.id))) == (Status.INDEXED, {record.visible})


def test_asked_twice_it_is_one_attempt(world: World) -> None:
    received = failed(world)
    assert world.retry(received) == world.retry(received) == received.task
    assert len(world.queue.sent) == 1
    world.run(world.take(), meanwhile=lambda: world.retry(received))
    assert not world.queue.sent


@pytest.mark.invariant("I6")
def test_a_lost_message_of_a_retry_is_sent_again(world: World) -> None:
    """I6: record first, message second."""
    received = failed(world)
    world.retry(received)
    world.queue.sent.clear()
    world.clock.pass_time(world.limits.resend_after)
    world.sweep()
    world.drain()
    assert world.record(received).status is Status.INDEXED


@pytest.mark.invariant("I4")
def test_the_letter_of_an_earlier_attempt_does_not_fail_the_retry(world: World) -> None:
    """I4."""
    received = world.upload("some text")
    message = world.take()
    dead_letter_counts = world.clock()
    assert settle(world.services, message, "it was received too often", sent=dead_letter_counts) is Settled.FAILED
    assert settle(world.services, message, "it was received too often", sent=dead_letter_counts) is Settled.FAILED
    world.clock.pass_time(world.limits.lease)
    world.retry(received)
    assert settle(world.services, message, "it was received too often", sent=dead_letter_counts) is Settled.STALE
    world.drain()
    assert world.record(received).status is Status.INDEXED


def test_the_earlier_generation_stays_searchable_meanwhile(world: World) -> None:
    world.upload("old text", id="one")
    world.drain()
    received = failed(world, "new text")
    assert [hit.text for hit in world.search("text").hits] == ["old text"]
    world.retry(received)
    assert [hit.text for hit in world.search("text").hits] == ["old text"]
    world.drain()
    assert [hit.text for hit in world.search("text").hits] == ["new text"]


@pytest.mark.parametrize(
    ("bring", "refusal"),
    [
        (lambda world, _: world.drain(), NothingToRetry),
        (lambda world, received: world.delete(received), BeingDeleted),
        (lambda world, received: [world.delete(received), world.drain()], Deleted),
    ],
    ids=["indexed", "deleting", "deleted"],
)
def test_where_there_is_nothing_to_retry_it_says_so_and_changes_nothing(
    world: World, bring: Callable[[World, Received], object], refusal: type[Exception]
) -> None:
    received = world.upload("some text")
    bring(world, received)
    before = world.record(received)
    with pytest.raises(refusal):
        world.retry(received)
    assert world.record(received) == before


def test_what_is_not_there_cannot_be_retried(world: World) -> None:
    with pytest.raises(NotFound):
        world.retry(World().upload("some text"))
