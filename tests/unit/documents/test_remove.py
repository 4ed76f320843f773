"""Remove: a removal is complete and counted, and comes before everything else."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from penstock.documents.progress import task
from penstock.domain.document import Document
from penstock.domain.errors import NotFound
from penstock.domain.ids import DocumentId, TenantId
from penstock.domain.receipt import Removal
from penstock.domain.status import Status
from penstock.pipeline.run import Done, Redeliver
from penstock.ports import Stored
from tests.support.stepped_worker import SteppedWorker
from tests.support.world import TENANT, World, prose


@pytest.mark.invariant("I8")
def test_a_deleted_document_is_gone_from_search_at_once(world: World) -> None:
    """I8: the record hides it, whenever its chunks are removed."""
    received = world.upload("The weir was opened in spring.")
    world.drain()
    world.delete(received)
    assert world.search("weir").hits == ()
    assert world.builds(received.document.id), "its chunks are still there"


def test_a_removal_leaves_no_chunk_no_object_and_a_tombstone(world: World) -> None:
    received = world.upload(prose("a", 9))
    world.drain()
    world.delete(received)
    world.drain()
    record = world.record(received)
    assert record.status is Status.DELETED
    assert record.expires_at == world.clock() + world.limits.keep_tombstone
    assert world.builds(record.id) == {}
    assert world.objects.objects == {}
    assert (record.original.name, record.metadata, record.active) == ("", {}, None)


def test_a_removal_reports_how_much_it_removed(world: World) -> None:
    received = world.upload(prose("a", 9), id="one")
    world.drain()
    world.upload(prose("b", 9), id="one")
    world.run(world.take())
    record = world.record(received)
    chunks = sum(world.builds(record.id).values())
    keys = len(world.objects.objects)
    versions = sum(map(len, world.objects.objects.values()))
    task_id = world.delete(received)
    world.drain()
    removal = task(world.services, TENANT, task_id).removal
    assert removal == Removal(chunks, keys, versions)
    assert keys > 1
    assert versions == keys + 1


@pytest.mark.parametrize("calls", range(1, 30, 2))
def test_a_remover_that_dies_at_any_call_has_told_what_it_found(world: World, calls: int) -> None:
    """The receipt is true even if workers died meanwhile."""
    received = world.upload(prose("a", 9), id="one")
    world.drain()
    chunks = sum(world.builds(received.document.id).values())
    task_id = world.delete(received)
    worker = SteppedWorker(world.services, world.take())
    for _ in range(calls):
        if not worker.ended:
            worker.step()
    worker.kill()
    world.queue.send(worker.message, received.document.lane)
    world.clock.pass_time(world.limits.lease)
    world.drain()
    assert task(world.services, TENANT, task_id).removal == Removal(chunks, 1, 1)


def test_what_is_written_while_it_is_removed_is_removed_too(world: World) -> None:
    received = world.upload(prose("a", 9), id="one")
    world.drain()
    late = world.index.entries(TENANT)
    world.delete(received)
    clear, put = world.index.clear, world.index.put

    def clear_and_a_late_write(*arguments: Any, **named: Any) -> int:
        world.index.clear = clear  # type: ignore[method-assign]
        cleared = clear(*arguments, **named)
        put(TENANT, late[:1])
        return cleared

    world.index.clear = clear_and_a_late_write  # type: ignore[method-assign]
    outcome = world.run(world.take())
    assert isinstance(outcome, Redeliver)
    assert "1 chunks and 0 objects were written" in outcome.why
    assert world.record(received).failure is not None
    world.clock.pass_time(outcome.delay + world.limits.resend_after)
    world.sweep()
    world.drain()
    assert (world.record(received).status, world.builds(received.document.id)) == (Status.DELETED, {})


def test_a_removal_waits_until_no_worker_writes_any_more(world: World) -> None:
    received = world.upload(prose("a", 1))
    message = world.take()
    outcomes = []

    def delete_meanwhile() -> None:
        world.delete(received)
        outcomes.append(world.run(world.take()))

    assert world.run(message, meanwhile=delete_meanwhile) == Done()
    (outcome,) = outcomes
    assert isinstance(outcome, Redeliver)
    assert world.record(received).status is Status.DELETING
    assert world.search("Paragraph").hits == ()


def test_a_removal_waits_for_the_leases_of_shards(world: World) -> None:
    received = world.upload(prose("a", 9))
    world.run(world.take())
    shard = world.take()
    outcomes = []

    def delete_meanwhile() -> None:
        world.queue.sent.clear()
        world.delete(received)
        outcomes.append(world.run(world.take()))

    world.run(shard, meanwhile=delete_meanwhile)
    (outcome,) = outcomes
    assert isinstance(outcome, Redeliver)
    assert outcome.delay == world.limits.lease


def test_asked_twice_it_is_one_task(world: World) -> None:
    received = world.upload("some text")
    world.drain()
    assert world.delete(received) == world.delete(received)
    assert len(world.queue.sent) == 1


def test_what_is_not_there_cannot_be_deleted(world: World) -> None:
    received = world.upload("some text")
    world.delete(received)
    world.drain()
    with pytest.raises(NotFound):
        world.delete(received)


def test_a_tombstone_refuses_late_messages_and_gives_way_to_later_bytes(world: World) -> None:
    received = world.upload("some text", id="one")
    late = world.take()
    world.delete(received)
    world.drain()
    assert world.run(late) == Done()
    assert world.record(received).status is Status.DELETED
    again = world.upload("some text", id="one")
    assert again.document.generation > received.document.generation
    world.drain()
    assert world.record(received).status is Status.INDEXED


def test_a_tombstone_ends_with_a_last_clearing_of_the_index(world: World) -> None:
    received = world.upload("some text")
    late = world.index.entries
    world.drain()
    stalled = [entry for entry in late(TENANT) if entry.document == received.document.id]
    world.delete(received)
    world.drain()
    world.index.put(TENANT, stalled)
    world.index.refresh(TENANT)
    world.clock.pass_time(world.limits.keep_tombstone + timedelta(seconds=1))
    world.sweep()
    assert world.builds(received.document.id) == {}
    assert world.documents.read(TENANT, received.document.id) is None


@pytest.mark.invariant("I2", "I3")
def test_a_remover_that_stalled_leaves_the_next_life_of_its_document_alone(world: World) -> None:
    """I2, I3: what it clears is bounded by the generation that it was asked to remove."""
    received = world.upload(prose("a", 3), id="one")
    world.drain()
    world.delete(received)
    stalled = SteppedWorker(world.services, world.take())
    stalled.step()
    stalled.step()
    world.clock.pass_time(world.limits.lease)
    world.run(stalled.message)
    assert world.record(received).status is Status.DELETED
    again = world.upload(prose("b", 3), id="one")
    world.drain()
    stalled.finish()
    assert stalled.error is None
    record = world.record(again)
    assert (record.status, set(world.builds(record.id))) == (Status.INDEXED, {record.visible})
    with world.objects.get(TENANT, record.original.key, record.original.version) as blocks:
        assert b"".join(blocks)


def test_an_upload_that_arrives_while_a_removal_ends_keeps_its_bytes(world: World) -> None:
    """Accepted means kept."""
    received = world.upload(prose("a", 1), id="one")
    world.drain()
    world.delete(received)
    put = world.objects.put

    def put_while_it_is_removed(*arguments: Any, **named: Any) -> Stored:
        world.objects.put = put  # type: ignore[method-assign]
        stored = put(*arguments, **named)
        world.drain()
        return stored

    tombstone = world.documents.read

    def not_yet_deleting(tenant: TenantId, document: DocumentId) -> Document | None:
        world.documents.read = tombstone  # type: ignore[method-assign]
        return None  # as it was before the delete was asked for, seen by an API that is slow

    world.documents.read = not_yet_deleting  # type: ignore[method-assign]
    world.objects.put = put_while_it_is_removed  # type: ignore[method-assign]
    again = world.upload(prose("b", 1), id="one")
    world.drain()
    assert world.record(again).status is Status.INDEXED


def test_a_removal_waits_for_workers_that_a_replacement_took_the_work_from(world: World) -> None:
    received = world.upload(prose("a", 1), id="one")
    slow = SteppedWorker(world.services, world.take())
    while not world.record(received).lease.is_alive(world.clock()):
        slow.step()
    world.upload(prose("b", 1), id="one")
    world.queue.sent.clear()
    world.delete(received)
    message = world.take()
    outcome = world.run(message)
    assert isinstance(outcome, Redeliver)
    assert outcome.delay == world.limits.lease
    slow.finish()
    world.clock.pass_time(outcome.delay)
    assert world.run(message) == Done()
    assert world.builds(received.document.id) == {}


def test_a_removal_takes_the_newest_bytes_of_the_folder_and_those_that_readers_saw(world: World) -> None:
    received = world.receive(world.drop("drop/acme/wiki/b.txt", "some text", "01"))
    world.drain()
    world.receive(world.drop("drop/acme/wiki/b.txt", "some text", "02"))
    assert received is not None
    world.delete(received)
    world.drain()
    assert world.objects.objects == {}


def test_bytes_that_arrive_after_their_removal_was_heard_of_leave_the_bucket(world: World) -> None:
    arrival = world.drop("drop/acme/wiki/b.txt", "some text", "01")
    world.receive(world.removal("drop/acme/wiki/b.txt", "02"))
    world.receive(arrival)
    assert world.objects.objects == {}


def test_news_of_an_arrival_that_come_again_after_the_deletion_revive_nothing(world: World) -> None:
    arrival = world.drop("drop/acme/wiki/b.txt", "some text", "01")
    received = world.receive(arrival)
    assert received is not None
    world.drain()
    world.delete(received)
    world.drain()
    world.receive(arrival)
    assert world.record(received).status is Status.DELETED


def test_a_stalled_extract_that_finds_its_file_gone_removes_nothing_of_its_successor(world: World) -> None:
    received = world.receive(world.drop("drop/acme/wiki/b.txt", "some text", "01"))
    assert received is not None
    stalled = SteppedWorker(world.services, world.take())
    while not world.record(received).lease.is_alive(world.clock()):
        stalled.step()
    world.objects.remove(TENANT, "drop/acme/wiki/b.txt")
    world.receive(world.drop("drop/acme/wiki/b.txt", "other text", "02"))
    world.drain()
    stalled.finish()
    world.drain()
    assert world.record(received).status is Status.INDEXED
    assert world.search("other").hits
