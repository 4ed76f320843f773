"""Remove: complete, counted, and ahead of everything else."""

from __future__ import annotations

from datetime import timedelta

import pytest

from penstock.document import Status
from penstock.errors import NotFound
from penstock.pipeline import Done, HandBack
from tests.world import TENANT, World, prose


@pytest.fixture
def world() -> World:
    return World()


def test_a_deleted_document_is_gone_from_search_at_once(world: World) -> None:
    """I8: the record hides it, whenever its chunks go."""
    received = world.upload("The weir was opened in spring.")
    world.drain()
    world.delete(received)
    assert world.search("weir").hits == ()
    assert world.pairs(received.document.id), "its chunks are still there"


def test_a_removal_leaves_no_chunk_no_object_and_a_tombstone(world: World) -> None:
    received = world.upload(prose("a", 9))
    world.drain()
    world.delete(received)
    world.drain()
    record = world.record(received)
    assert record.status is Status.DELETED
    assert record.ends == world.clock() + world.limits.tombstone
    assert world.pairs(record.id) == {}
    assert world.objects.objects == {}
    assert (record.original.name, record.metadata, record.active) == ("", {}, None)


def test_a_removal_waits_until_no_worker_writes_any_more(world: World) -> None:
    received = world.upload(prose("a", 1))
    message = world.take()
    outcomes = []

    def delete_meanwhile() -> None:
        world.delete(received)
        outcomes.append(world.run(world.take()))

    assert world.run(message, meanwhile=delete_meanwhile) == Done()
    (outcome,) = outcomes
    assert isinstance(outcome, HandBack)
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
    assert isinstance(outcome, HandBack)
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
    world.clock.pass_time(world.limits.tombstone + timedelta(seconds=1))
    world.sweep()
    assert world.pairs(received.document.id) == {}
    assert world.documents.read(TENANT, received.document.id) is None
