"""The sweep: nothing that was accepted waits for a message that is lost (I6)."""

from __future__ import annotations

import pytest

from penstock.document import Status, TenantId
from penstock.ports import Change
from penstock.sweep import sweep
from tests.world import World, prose


@pytest.fixture
def world() -> World:
    return World()


def test_a_lost_extract_message_is_sent_again(world: World) -> None:
    received = world.upload("some text")
    world.queue.sent.clear()
    world.clock.pass_time(world.limits.resend)
    world.sweep()
    world.drain()
    assert world.record(received).status is Status.INDEXED


def test_lost_embed_messages_are_sent_again(world: World) -> None:
    received = world.upload(prose("a", 9))
    world.run(world.take())
    world.queue.sent.clear()
    world.clock.pass_time(world.limits.resend)
    world.sweep()
    world.drain()
    assert world.record(received).status is Status.INDEXED


def test_a_lost_delete_message_is_sent_again(world: World) -> None:
    received = world.upload("some text")
    world.drain()
    world.delete(received)
    world.queue.sent.clear()
    world.clock.pass_time(world.limits.resend)
    world.sweep()
    world.drain()
    assert world.record(received).status is Status.DELETED


def test_what_two_sweeps_find_at_once_is_sent_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """I2: the one whose write comes second stops quietly."""
    received = world.upload("some text")
    world.queue.sent.clear()
    world.clock.pass_time(world.limits.resend)
    write = world.documents.write

    def overtaken(tenant: TenantId, *changes: Change) -> None:
        monkeypatch.undo()
        assert world.sweep() == 1
        write(tenant, *changes)

    monkeypatch.setattr(world.documents, "write", overtaken)
    world.sweep()
    assert len(world.queue.sent) == 1
    assert world.record(received).due == world.clock() + world.limits.resend


def test_a_long_queue_is_not_flooded_and_waiting_is_never_judged_dead(world: World) -> None:
    """I6: a day of backlog is a few copies, each dropped by its claim."""
    received = world.upload("some text")
    end = world.clock() + 144 * world.limits.resend
    while world.clock() < end:
        world.clock.pass_time(world.limits.resend)
        world.sweep()
    assert len(world.queue.sent) <= 9
    world.drain()
    record = world.record(received)
    assert record.status is Status.INDEXED
    assert record.work.attempts == 0


def test_what_is_leased_is_left_alone_until_the_lease_ends(world: World) -> None:
    received = world.upload("some text")
    message = world.take()
    world.clock.pass_time(world.limits.resend)

    def swept() -> None:
        world.sweep()
        record = world.record(received)
        assert record.due == record.work.until

    world.run(message, meanwhile=swept)
    assert not world.queue.sent


def test_a_final_document_is_not_due(world: World) -> None:
    world.upload("some text")
    world.drain()
    world.clock.pass_time(10 * world.limits.resend)
    assert world.sweep() == 0


def test_a_record_that_fails_does_not_keep_the_others_from_their_turn(world: World) -> None:
    """I5: not even by a bug."""
    for name in ("one", "two"):
        world.upload(prose("a", 1), id=name)
        world.drain()
        world.upload(prose("b", 1), id=name)
        world.drain()
    received = world.upload("some text", id="three")
    world.queue.sent.clear()
    world.clock.pass_time(world.limits.resend)

    def broken(*_: object, **__: object) -> int:
        raise ZeroDivisionError

    world.index.clear = broken  # type: ignore[method-assign]
    for _ in range(3):
        sweep(world.services, limit=1)
    world.drain()
    assert world.record(received).status is Status.INDEXED
