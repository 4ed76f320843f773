"""Receive: identity, duplicates, order, and what is promised with a 202."""

from __future__ import annotations

from datetime import timedelta

import pytest

from penstock.domain.document import milliseconds
from penstock.domain.errors import BeingDeleted, EmptyFile, Permanent, Transient
from penstock.domain.status import Status
from penstock.domain.task import Lane, Message, Stage
from tests.support.world import TENANT, World, prose


@pytest.mark.invariant("I1", "I6")
def test_an_upload_is_recorded_before_its_message_is_sent(world: World) -> None:
    """I6: and the message carries ids only (I1)."""
    received = world.upload("some text")
    record = world.record(received)
    assert record.status is Status.QUEUED
    assert record.sweep_at == world.clock() + world.limits.resend_after
    assert [message for message, _, _ in world.queue.sent] == [
        Message(Stage.EXTRACT, TENANT, record.id, record.generation)
    ]


@pytest.mark.invariant("I6")
def test_an_upload_whose_message_cannot_be_sent_is_kept_and_sent_by_the_sweep(world: World) -> None:
    """I6: the record stands, so nothing is lost."""

    class Down(type(world.queue)):  # type: ignore[misc]
        def send(self, message: Message, lane: Lane, *, delay: timedelta = timedelta(0)) -> None:
            raise Transient(why="the queue is down")

    working, world.queue = world.queue, Down()
    received = world.upload("some text")
    world.queue = working
    world.clock.pass_time(world.limits.resend_after)
    world.sweep()
    world.drain()
    assert world.record(received).status is Status.INDEXED


def test_the_same_bytes_again_are_no_work(world: World) -> None:
    first = world.upload("some text")
    world.drain()
    second = world.upload("some text")
    assert second.already_here
    assert second.task == first.task
    assert not world.queue.sent


def test_the_same_bytes_again_before_they_are_worked_on_are_no_second_message(world: World) -> None:
    world.upload("some text")
    assert world.upload("some text").already_here
    assert len(world.queue.sent) == 1


def test_the_same_bytes_under_another_id_are_another_document_and_pay_for_nothing(world: World) -> None:
    world.upload("some text", id="one")
    world.drain()
    paid = len(world.embedder.embedded)
    other = world.upload("some text", id="two")
    world.drain()
    assert world.record(other).status is Status.INDEXED
    assert len(world.embedder.embedded) == paid


def test_other_bytes_under_the_same_id_are_a_newer_generation(world: World) -> None:
    first = world.upload("some text", id="one")
    second = world.upload("other text", id="one")
    assert second.document.generation > first.document.generation


def test_generations_grow_within_one_millisecond(world: World) -> None:
    numbers = [world.upload(f"text {n}", id="one").document.generation for n in range(3)]
    assert numbers == [milliseconds(world.clock()) + n for n in range(3)]


def test_failed_bytes_sent_again_are_tried_again(world: World) -> None:
    world.reader.fail = Permanent()
    first = world.upload("some text")
    world.drain()
    assert world.record(first).status is Status.FAILED
    world.reader.fail = None
    again = world.upload("some text")
    assert not again.already_here
    assert again.document.generation == first.document.generation
    assert world.record(again).failure is None, "an old error is not shown on a new attempt"
    world.drain()
    assert world.record(first).status is Status.INDEXED


def test_a_file_without_bytes_is_refused(world: World) -> None:
    with pytest.raises(EmptyFile):
        world.upload("")


def test_an_upload_to_a_document_that_is_being_deleted_is_refused(world: World) -> None:
    received = world.upload("some text", id="one")
    world.delete(received)
    with pytest.raises(BeingDeleted):
        world.upload("other text", id="one")


def test_a_drop_is_identified_by_its_key(world: World) -> None:
    first = world.receive(world.drop("drop/acme/wiki/a/b.txt", "some text", "01"))
    second = world.receive(world.drop("drop/acme/wiki/a/b.txt", "other text", "02"))
    assert first is not None
    assert second is not None
    assert first.document.id == second.document.id
    assert second.document.generation > first.document.generation
    assert (second.document.source, second.document.original.name) == ("wiki", "b.txt")


def test_an_s3_event_that_comes_twice_is_harmless(world: World) -> None:
    event = world.drop("drop/acme/wiki/b.txt", "some text", "01")
    assert world.receive(event) is not None
    assert world.receive(event) is None
    assert len(world.queue.sent) == 1


@pytest.mark.parametrize(("early", "late"), [("01", "02"), ("0055", "006"), ("00A", "00b0")])
def test_s3_events_out_of_order_leave_the_latest(world: World, early: str, late: str) -> None:
    """Sequencers are padded on the right before they are compared."""
    old = world.drop("drop/acme/wiki/b.txt", "old text", early)
    new = world.drop("drop/acme/wiki/b.txt", "new text", late)
    received = world.receive(new)
    assert world.receive(old) is None
    assert received is not None
    assert world.record(received).original.version == new.version


def test_the_same_bytes_dropped_again_are_no_work_but_their_version_is_known(world: World) -> None:
    first = world.receive(world.drop("drop/acme/wiki/b.txt", "some text", "01"))
    world.drain()
    again = world.drop("drop/acme/wiki/b.txt", "some text", "02")
    assert world.receive(again) is None
    assert not world.queue.sent
    assert first is not None
    assert world.record(first).original.version == again.version


def test_a_removal_that_is_older_than_the_newest_drop_is_ignored(world: World) -> None:
    received = world.receive(world.drop("drop/acme/wiki/b.txt", "some text", "05"))
    world.receive(world.removal("drop/acme/wiki/b.txt", "04"))
    assert received is not None
    assert world.record(received).status is Status.QUEUED


def test_a_removal_from_the_folder_deletes_the_document(world: World) -> None:
    received = world.receive(world.drop("drop/acme/wiki/b.txt", "some text", "05"))
    assert received is not None
    world.drain()
    world.receive(world.removal("drop/acme/wiki/b.txt", "06"))
    assert world.search("some text").hits == ()
    world.drain()
    assert world.record(received).status is Status.DELETED
    assert world.receive(world.drop("drop/acme/wiki/b.txt", "late text", "055")) is None, "older than the removal"


def test_a_drop_during_the_removal_waits_in_its_queue(world: World) -> None:
    received = world.receive(world.drop("drop/acme/wiki/b.txt", "some text", "05"))
    world.receive(world.removal("drop/acme/wiki/b.txt", "06"))
    event = world.drop("drop/acme/wiki/b.txt", "new text", "07")
    with pytest.raises(Transient):
        world.receive(event)
    world.drain()
    assert world.receive(event) is not None
    world.drain()
    assert received is not None
    assert world.record(received).status is Status.INDEXED


@pytest.mark.parametrize("key", ["other/acme/wiki/a", "drop/ACME/wiki/a", "drop/a", "drop/acme/", "drop"])
def test_a_key_outside_the_drop_folders_form_is_refused_with_the_form(world: World, key: str) -> None:
    with pytest.raises(Permanent, match=r"drop/TENANT/SOURCE/NAME|tenant id"):
        world.receive(world.removal(key, "01"))


def test_bytes_that_are_shown_already_keep_their_pair_and_pay_for_nothing(world: World) -> None:
    """The folder's ETag differs for a multipart upload, so only extract can tell."""
    first = world.receive(world.drop("drop/acme/wiki/b.txt", prose("a", 5), "01"))
    assert first is not None
    world.drain()
    shown, paid = world.record(first).visible, len(world.embedder.embedded)
    event = world.drop("drop/acme/wiki/b.txt", prose("a", 5), "02")
    world.receive(type(event)(event.key, event.version, event.size, "other-etag-2", "02", removed=False))
    world.drain()
    record = world.record(first)
    assert record.status is Status.INDEXED
    assert record.visible == shown
    assert record.generation > first.document.generation
    assert len(world.embedder.embedded) == paid


def test_a_removal_that_comes_before_the_arrival_it_removes_wins(world: World) -> None:
    arrival = world.drop("drop/acme/wiki/b.txt", "some text", "01")
    world.receive(world.removal("drop/acme/wiki/b.txt", "02"))
    assert world.receive(arrival) is None
    assert not world.queue.sent
    assert world.receive(world.drop("drop/acme/wiki/b.txt", "later text", "03")) is not None


@pytest.mark.parametrize("key", ["drop/acme/b.txt", "drop/acme//b.txt"])
def test_what_lies_in_the_tenants_folder_itself_is_received_too(world: World, key: str) -> None:
    received = world.receive(world.drop(key, "some text", "01"))
    assert received is not None
    assert (received.document.source, received.document.original.name) == ("drop", "b.txt")


def test_a_file_of_the_folder_that_is_too_large_fails_with_the_setting_named(world: World) -> None:
    world.with_limits(file_bytes=5)
    received = world.receive(world.drop("drop/acme/wiki/b.txt", "some text", "01"))
    assert received is not None
    world.drain()
    failure = world.record(received).failure
    assert failure is not None
    assert failure.code == "file_too_large"
    assert "PENSTOCK_MAX_FILE_BYTES" in failure.message
    assert not world.reader.read_files
