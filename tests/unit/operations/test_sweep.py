"""The sweep: nothing that was accepted waits for a message that is lost (I6)."""

from __future__ import annotations

from datetime import timedelta
from io import BytesIO

import pytest

from penstock.documents.announce import Announced, await_upload
from penstock.documents.progress import task
from penstock.domain.errors import NotFound, Transient
from penstock.domain.ids import TenantId
from penstock.domain.status import Status
from penstock.domain.task import Lane, TaskState
from penstock.operations.sweep import sweep
from penstock.ports import Change
from penstock.records.document_lease import take_extract
from tests.support.world import TENANT, World, prose

pytestmark = pytest.mark.invariant("I6")


def test_a_lost_extract_message_is_sent_again(world: World) -> None:
    received = world.upload("some text")
    world.queue.sent.clear()
    world.clock.pass_time(world.limits.resend_after)
    world.sweep()
    world.drain()
    assert world.record(received).status is Status.INDEXED


def test_lost_embed_messages_are_sent_again(world: World) -> None:
    received = world.upload(prose("a", 9))
    world.run(world.take())
    world.queue.sent.clear()
    world.clock.pass_time(world.limits.resend_after)
    world.sweep()
    world.drain()
    assert world.record(received).status is Status.INDEXED


def test_a_lost_delete_message_is_sent_again(world: World) -> None:
    received = world.upload("some text")
    world.drain()
    world.delete(received)
    world.queue.sent.clear()
    world.clock.pass_time(world.limits.resend_after)
    world.sweep()
    world.drain()
    assert world.record(received).status is Status.DELETED


@pytest.mark.invariant("I2")
def test_what_two_sweeps_find_at_once_is_sent_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """I2: the sweep whose write comes second stops quietly."""
    received = world.upload("some text")
    world.queue.sent.clear()
    world.clock.pass_time(world.limits.resend_after)
    write = world.documents.write

    def overtaken(tenant: TenantId, *changes: Change) -> None:
        monkeypatch.undo()
        assert world.sweep() == 1
        write(tenant, *changes)

    monkeypatch.setattr(world.documents, "write", overtaken)
    world.sweep()
    assert len(world.queue.sent) == 1
    assert world.record(received).sweep_at == world.clock() + world.limits.resend_after


def test_work_whose_lease_ended_without_a_word_is_asked_for_again(world: World) -> None:
    """Its message went with its worker."""
    received = world.upload(prose("a", 9))
    take_extract(world.services, world.take())
    world.clock.pass_time(world.limits.resend_after)
    world.sweep()
    world.drain()
    assert world.record(received).status is Status.INDEXED


@pytest.mark.invariant("I3")
def test_older_builds_that_could_not_be_cleared_are_cleared_later(world: World) -> None:
    """I3: and with them what a stalled worker wrote into index and bucket."""
    world.upload(prose("a", 5), id="one")
    world.drain()
    stalled = [entry for entry in world.index.entries(TENANT) if entry.document == "one"]
    received = world.upload(prose("b", 5), id="one")
    old = world.record(received).active
    assert old is not None
    clear, world.index.clear = world.index.clear, broken  # type: ignore[method-assign]
    world.drain()
    world.index.clear = clear  # type: ignore[method-assign]
    world.index.put(TENANT, stalled)
    for folder, name in (("work", "/0.json"), ("receipts", ".json")):
        place = f"{folder}/{TENANT}/one/{old.build_id.generation}/{old.build_id.build}{name}"
        world.objects.put(TENANT, place, BytesIO(b"{}"))
    world.clock.pass_time(world.limits.lease)
    world.sweep()
    record = world.record(received)
    assert set(world.builds(record.id)) == {record.visible}
    assert list(world.objects.objects) == [record.original.key]
    assert record.sweep_at is None


def test_what_a_failed_attempt_left_goes_after_a_day(world: World) -> None:
    received = world.upload(prose("a", 9))
    world.run(world.take())
    world.embedder.fail = [None, *[Transient(why="made to fail")] * 50]
    world.drain()
    assert world.record(received).status is Status.FAILED
    assert world.builds(received.document.id), "its vectors were paid for: a retry finds them"
    world.clock.pass_time(world.limits.keep_failed)
    world.sweep()
    record = world.record(received)
    assert (world.builds(record.id), list(world.objects.objects)) == ({}, [record.original.key])
    assert world.documents.read_build(TENANT, record.id, record.build_id) is None


def test_a_tombstone_past_its_time_goes(world: World) -> None:
    received = world.upload("some text")
    world.delete(received)
    world.drain()
    world.clock.pass_time(world.limits.keep_tombstone)
    world.sweep()
    assert world.documents.read(TENANT, received.document.id) is None


def test_an_upload_that_never_came_is_a_failure_and_then_nothing(world: World) -> None:
    """There is no record to sweep: the upload's item expires by itself, and S3 accepts no file any more."""
    upload, _ = await_upload(
        world.services,
        TENANT,
        Announced("a.txt", 9, "text/plain", None),
        document=None,
        source="api",
        lane=Lane.STANDARD,
        metadata={},
        seconds=60,
    )
    assert task(world.services, TENANT, upload.task).state is TaskState.PENDING
    world.clock.pass_time(timedelta(hours=1))
    assert world.sweep() == 0
    assert task(world.services, TENANT, upload.task).state is TaskState.FAILURE
    world.clock.now = upload.expires_at
    with pytest.raises(NotFound):
        task(world.services, TENANT, upload.task)


def broken(*_: object, **__: object) -> int:
    raise Transient(why="made to fail")


@pytest.mark.invariant("I6")
def test_a_long_queue_is_not_flooded_and_waiting_is_never_judged_dead(world: World) -> None:
    """I6: a day of backlog makes a few copies, and the claim drops each of them."""
    received = world.upload("some text")
    end = world.clock() + 144 * world.limits.resend_after
    while world.clock() < end:
        world.clock.pass_time(world.limits.resend_after)
        world.sweep()
    assert len(world.queue.sent) <= 9
    world.drain()
    record = world.record(received)
    assert record.status is Status.INDEXED
    assert record.lease.attempts == 0


def test_what_is_leased_is_left_alone_until_the_lease_ends(world: World) -> None:
    received = world.upload("some text")
    message = world.take()
    world.clock.pass_time(world.limits.resend_after)

    def swept() -> None:
        world.sweep()
        record = world.record(received)
        assert record.sweep_at == record.lease.until

    world.run(message, meanwhile=swept)
    assert not world.queue.sent


def test_a_final_document_is_not_due(world: World) -> None:
    world.upload("some text")
    world.drain()
    world.clock.pass_time(10 * world.limits.resend_after)
    assert world.sweep() == 0


@pytest.mark.invariant("I5")
def test_a_record_that_fails_does_not_keep_the_others_from_their_turn(world: World) -> None:
    """I5: not even if it fails by a bug."""
    for name in ("one", "two"):
        world.upload(prose("a", 1), id=name)
        world.drain()
        world.upload(prose("b", 1), id=name)
        world.drain()
    received = world.upload("some text", id="three")
    world.queue.sent.clear()
    world.clock.pass_time(world.limits.resend_after)

    def broken(*_: object, **__: object) -> int:
        raise ZeroDivisionError

    world.index.clear = broken  # type: ignore[method-assign]
    for _ in range(3):
        sweep(world.services, limit=1)
    world.drain()
    assert world.record(received).status is Status.INDEXED
