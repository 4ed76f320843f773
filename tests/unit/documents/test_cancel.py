"""Cancel: the work stops, the spending stops, what was written goes, and what readers saw stays."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from penstock.documents.cancel import finish_cancel
from penstock.documents.progress import task
from penstock.documents.receive import Received
from penstock.domain.document import Document
from penstock.domain.errors import BeingDeleted, Deleted, NotFound, NothingToCancel, PasswordRequired, Transient
from penstock.domain.status import Status
from penstock.domain.task import Stage, TaskState
from penstock.pipeline.run import Done
from penstock.records.document_lease import take_extract
from penstock.records.shard_lease import take_embed
from tests.support.stepped_worker import SteppedWorker
from tests.support.world import TENANT, World, prose


def nothing_is_left_of_the_attempt(world: World, received: Received) -> None:
    record = world.record(received)
    assert (record.status, record.cancel, record.lease.until) == (Status.CANCELLED, False, None)
    assert set(world.builds(record.id)) == ({record.visible} if record.visible else set())
    assert not [key for key in world.objects.objects if key.startswith(("work/", "receipts/"))]
    assert world.documents.read_build(TENANT, record.id, record.build_id) is None
    seen = task(world.services, TENANT, received.task)
    assert (seen.state, seen.reason) == (TaskState.REVOKED, "cancelled")


def test_what_nobody_holds_is_cancelled_at_once_and_its_message_does_nothing(world: World) -> None:
    received = world.upload("some text")
    assert world.cancel(received) == received.task
    nothing_is_left_of_the_attempt(world, received)
    assert world.record(received).sweep_at is None
    world.drain()
    assert world.embedder.embedded == []
    assert world.sweep() == 0


def test_no_further_batch_is_paid_for_once_a_cancel_is_asked_for(world: World) -> None:
    world.embedder.batch = 2
    world.with_limits(shard_chunks=100)
    received = world.upload(prose("a", 9))
    worker = SteppedWorker(world.services, world.take())
    while len(world.embedder.embedded) < 2:
        worker.step()
    world.cancel(received)
    assert task(world.services, TENANT, received.task).reason == "cancelling"
    worker.finish()
    assert worker.outcome == Done()
    assert len(world.embedder.embedded) == 2
    nothing_is_left_of_the_attempt(world, received)


def test_the_last_of_several_holders_ends_it(world: World) -> None:
    world.embedder.batch = 1
    received = world.upload(prose("a", 9))
    world.run(world.take())
    shards = [SteppedWorker(world.services, world.take()) for _ in range(2)]
    for shard in shards:
        while not _holds(world, received, shard):
            shard.step()
    world.cancel(received)
    shards[0].finish()
    assert world.record(received).status is Status.EMBEDDING, "the other still holds its shard"
    shards[1].finish()
    nothing_is_left_of_the_attempt(world, received)
    world.drain()
    nothing_is_left_of_the_attempt(world, received)


def test_a_shard_that_ends_before_it_hears_of_the_cancel_leaves_it_to_the_next_message(world: World) -> None:
    received = world.upload(prose("a", 9))
    world.run(world.take())
    world.run(world.take(), meanwhile=lambda: world.cancel(received))
    assert world.record(received).status is Status.EMBEDDING
    world.run(world.take())
    nothing_is_left_of_the_attempt(world, received)


def _holds(world: World, received: Received, worker: SteppedWorker) -> bool:
    record = world.record(received)
    build = world.documents.read_build(TENANT, record.id, record.build_id)
    assert build is not None
    assert worker.message.shard is not None
    return build.lease_of(worker.message.shard).is_alive(world.clock())


def test_a_message_of_cancelled_work_ends_it_where_nobody_else_holds_it(world: World) -> None:
    received = world.upload(prose("a", 9))
    world.run(world.take())
    shard = world.take()
    take_embed(world.services, shard)
    world.cancel(received)
    world.clock.pass_time(world.limits.lease)
    world.run(world.take())
    nothing_is_left_of_the_attempt(world, received)


def test_where_the_holder_was_lost_the_sweep_ends_it_after_its_lease(world: World) -> None:
    received = world.upload(prose("a", 9))
    take_extract(world.services, world.take())
    world.cancel(received)
    world.sweep()
    record = world.record(received)
    assert (record.status, record.sweep_at) == (Status.EXTRACTING, record.lease.until)
    world.clock.pass_time(world.limits.lease)
    world.sweep()
    nothing_is_left_of_the_attempt(world, received)


def test_what_a_lost_worker_left_is_cancelled_at_once_and_cleared_by_the_sweep(world: World) -> None:
    received = world.upload(prose("a", 9))
    world.run(world.take())
    world.run(world.take())
    world.cancel(received)
    assert world.record(received).status is Status.CANCELLED
    assert world.search("Paragraph").hits == ()
    world.clock.pass_time(world.limits.lease)
    world.sweep()
    nothing_is_left_of_the_attempt(world, received)


@pytest.mark.invariant("I3")
def test_what_a_stalled_writer_wrote_after_the_end_is_cleared_once_more(world: World) -> None:
    """I3: it belongs to a build that no reader sees."""
    received = world.upload(prose("a", 1))
    stalled = SteppedWorker(world.services, world.take())
    while not world.embedder.embedded:
        stalled.step()
    world.cancel(received)
    world.clock.pass_time(world.limits.lease)
    world.sweep()
    assert world.record(received).status is Status.CANCELLED
    stalled.finish()
    assert world.search("Paragraph").hits == ()
    world.clock.pass_time(world.limits.lease)
    world.sweep()
    nothing_is_left_of_the_attempt(world, received)
    assert world.record(received).sweep_at is None


@pytest.mark.parametrize("stage", [Stage.EXTRACT, Stage.EMBED])
def test_the_earlier_generation_stays_searchable(world: World, stage: Stage) -> None:
    world.upload(prose("old", 5), id="one")
    world.drain()
    seen = world.search("Paragraph of old", k=50).hits
    received = world.upload(prose("new", 9), id="one")
    extract = world.take()
    if stage is Stage.EMBED:
        world.run(extract)
        world.run(world.take())
        world.run(world.take(), meanwhile=lambda: world.cancel(received))
    else:
        world.run(extract, meanwhile=lambda: world.cancel(received))
    world.drain()
    nothing_is_left_of_the_attempt(world, received)
    assert world.search("Paragraph of old", k=50).hits == seen
    assert seen


def test_a_file_that_fails_while_it_is_cancelled_is_cancelled(world: World) -> None:
    received = world.upload("some text")
    world.reader.fail = PasswordRequired()
    assert world.run(world.take(), meanwhile=lambda: world.cancel(received)) == Done()
    nothing_is_left_of_the_attempt(world, received)


def test_a_try_that_fails_while_it_is_cancelled_does_not_come_again(world: World) -> None:
    received = world.upload(prose("a", 9))
    world.reader.fail = Transient(why="made to fail")
    assert world.run(world.take(), meanwhile=lambda: world.cancel(received)) == Done()
    nothing_is_left_of_the_attempt(world, received)


def test_where_the_clearing_fails_the_sweep_ends_it(world: World) -> None:
    received = world.upload(prose("a", 9))
    world.run(world.take())

    def cancel_and_break() -> None:
        world.cancel(received)
        world.index.clear = broken  # type: ignore[method-assign]

    def broken(*_: object, **__: object) -> int:
        raise Transient(why="made to fail")

    clear = world.index.clear
    world.run(world.take(), meanwhile=cancel_and_break)
    assert world.record(received).status is Status.EMBEDDING
    world.index.clear = clear  # type: ignore[method-assign]
    world.sweep()
    nothing_is_left_of_the_attempt(world, received)


def test_asked_twice_it_is_one_cancel(world: World) -> None:
    received = world.upload(prose("a", 9))
    world.run(world.take(), meanwhile=lambda: [world.cancel(received), world.cancel(received)])
    assert world.cancel(received) == received.task
    nothing_is_left_of_the_attempt(world, received)


def test_deleting_wins_over_cancelling(world: World) -> None:
    received = world.upload(prose("a", 9))

    def both() -> None:
        world.cancel(received)
        world.delete(received)

    world.run(world.take(), meanwhile=both)
    world.drain()
    record = world.record(received)
    assert (record.status, record.cancel, world.builds(record.id)) == (Status.DELETED, False, {})
    assert world.objects.objects == {}


@pytest.mark.parametrize("again", ["other bytes", "some text"])
def test_bytes_that_come_after_a_cancel_are_accepted_and_kept(world: World, again: str) -> None:
    """Also if they are the same bytes: a caller that got a 202 after the cancel wants them found."""
    received = world.upload("some text", id="one")
    world.run(world.take(), meanwhile=lambda: [world.cancel(received), world.upload(again, id="one")])
    world.drain()
    assert world.record(received).status is Status.INDEXED
    assert [hit.text for hit in world.search(again).hits] == [again]


@pytest.mark.parametrize(
    ("bring", "refusal"),
    [
        (lambda world, _: world.drain(), NothingToCancel),
        (lambda world, _: [setattr(world.reader, "fail", PasswordRequired()), world.drain()], NothingToCancel),
        (lambda world, received: world.delete(received), BeingDeleted),
        (lambda world, received: [world.delete(received), world.drain()], Deleted),
    ],
    ids=["indexed", "failed", "deleting", "deleted"],
)
def test_where_nothing_is_under_way_it_says_so_and_changes_nothing(
    world: World, bring: Callable[[World, Received], object], refusal: type[Exception]
) -> None:
    received = world.upload("some text")
    bring(world, received)
    before = world.record(received)
    with pytest.raises(refusal):
        world.cancel(received)
    assert world.record(received) == before


def test_what_is_not_there_cannot_be_cancelled(world: World) -> None:
    received = World().upload("some text")
    with pytest.raises(NotFound):
        world.cancel(received)


@pytest.mark.invariant("I2", "I3")
def test_a_cancel_that_ends_late_leaves_the_next_attempt_alone(world: World) -> None:
    """I2, I3: what it clears is bounded by the attempt that was cancelled."""
    received = world.upload(prose("a", 9))
    seen: list[Document] = []
    world.run(world.take(), meanwhile=lambda: [world.cancel(received), seen.append(world.record(received))])
    world.retry(received)
    world.run(world.take())
    world.clock.pass_time(world.limits.lease)
    written = [key for key in world.objects.objects if key.startswith("work/")]
    finish_cancel(world.services, *seen)
    assert [key for key in world.objects.objects if key.startswith("work/")] == written
    assert written
    world.drain()
    assert world.record(received).status is Status.INDEXED


def test_a_cancel_waits_in_no_queue(world: World) -> None:
    """It is a word in the record: nothing has to be received before it is obeyed."""
    received = world.upload(prose("a", 9))
    world.run(world.take(), meanwhile=lambda: world.cancel(received))
    assert all(message.stage is not Stage.DELETE for message, _, _ in world.queue.sent)
    world.clock.pass_time(timedelta(days=1))
    assert world.drain() is not None
    nothing_is_left_of_the_attempt(world, received)
