"""Awaited uploads: announced by a caller, sent to the bucket, and received at S3's event."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import timedelta
from io import BytesIO

import pytest

from penstock.documents.announce import Announced, await_upload
from penstock.documents.object_events import ObjectEvent
from penstock.documents.progress import task
from penstock.domain.errors import BadRequest, NotFound, Transient
from penstock.domain.ids import DocumentId, TenantId
from penstock.domain.status import Status
from penstock.domain.task import Lane, TaskId, TaskState
from penstock.domain.upload import AwaitedUpload
from penstock.ports import PostPolicy, Stored
from tests.support.world import TENANT, World

TEXT = "The sluice at Thornby is opened in spring."


def announce(
    world: World, text: str = TEXT, *, document: str | None = None, hashed: bool = True
) -> tuple[AwaitedUpload, PostPolicy]:
    body = text.encode()
    sha256 = hashlib.sha256(body).hexdigest() if hashed else None
    return await_upload(
        world.services,
        TENANT,
        Announced("sluice.txt", len(body), "text/plain", sha256),
        document=DocumentId(document) if document else None,
        source="api",
        lane=Lane.BULK,
        metadata={"team": "water"},
        seconds=3600,
    )


def arrives(world: World, policy: PostPolicy, text: str = TEXT, sequencer: str = "01") -> ObjectEvent:
    """The file is posted; the event that S3 sends of it."""
    stored = world.objects.post(policy, text.encode())
    assert stored is not None
    return event_of(stored, sequencer)


def event_of(stored: Stored, sequencer: str = "01") -> ObjectEvent:
    return ObjectEvent(stored.key, stored.version, stored.size, stored.etag, sequencer, removed=False)


def state(world: World, upload: AwaitedUpload) -> TaskState:
    return task(world.services, TENANT, upload.task).state


def left_of_uploads(world: World) -> list[str]:
    return [key for key in world.objects.objects if key.startswith("uploads/")]


def test_an_upload_is_pending_until_its_file_is_there_and_then_its_task_is_that_of_the_ingest(world: World) -> None:
    upload, policy = announce(world)
    pending = task(world.services, TENANT, upload.task)
    assert (pending.state, pending.status, pending.document) == (TaskState.PENDING, None, upload.document)
    assert not world.documents.items, "nothing is a document before its bytes are there"
    world.receive(arrives(world, policy))
    assert state(world, upload) is TaskState.PENDING
    world.drain()
    done = task(world.services, TENANT, upload.task)
    record = world.record(upload.document)
    assert (done.state, done.id, done.generation) == (TaskState.SUCCESS, upload.task, record.generation)
    assert done.receipt == record.receipt
    assert (record.original.name, record.lane, record.metadata) == ("sluice.txt", Lane.BULK, {"team": "water"})
    assert [hit.document for hit in world.search("sluice").hits] == [upload.document]


def test_the_file_leaves_the_uploads_so_that_nothing_there_is_worth_keeping(world: World) -> None:
    upload, policy = announce(world)
    world.receive(arrives(world, policy))
    assert left_of_uploads(world) == []
    assert world.record(upload.document).original.key == f"files/{TENANT}/{upload.document}"


def test_with_its_sha256_an_upload_is_the_document_that_the_same_bytes_are_by_https(world: World) -> None:
    received = world.upload(TEXT)
    world.drain()
    before = world.record(received)
    upload, policy = announce(world)
    assert upload.document == received.document.id
    assert world.receive(arrives(world, policy)) is None
    assert world.record(received) == before, "identical bytes are no work"
    assert world.queue.sent == []
    assert (state(world, upload), left_of_uploads(world)) == (TaskState.SUCCESS, [])


def test_without_it_the_document_has_the_uploads_own_id(world: World) -> None:
    upload, policy = announce(world, hashed=False)
    assert upload.document == upload.id
    world.receive(arrives(world, policy))
    world.drain()
    assert world.record(upload.document).status is Status.INDEXED


def test_under_an_id_that_is_there_it_replaces_and_deleting_leaves_no_bytes(world: World) -> None:
    first = world.upload("The old text.", id="manual")
    world.drain()
    upload, policy = announce(world, document="manual")
    world.receive(arrives(world, policy))
    world.drain()
    assert world.record(upload.document).generation > first.document.generation
    assert [hit.document for hit in world.search("sluice").hits] == ["manual"]
    world.delete(first)
    world.drain()
    assert not [key for key in world.objects.objects if "manual" in key or key.startswith("uploads/")]


def test_bytes_that_failed_are_tried_again(world: World) -> None:
    received = world.upload(TEXT)
    world.documents.items[TENANT, received.document.id, None] = replace(
        world.record(received), status=Status.FAILED, sweep_at=None
    )
    world.queue.sent.clear()
    _, policy = announce(world)
    world.receive(arrives(world, policy))
    world.drain()
    assert world.record(received).status is Status.INDEXED


@pytest.mark.parametrize("hashed", [True, False])
def test_an_event_that_comes_twice_is_no_work(world: World, hashed: bool) -> None:
    upload, policy = announce(world, hashed=hashed)
    event = arrives(world, policy)
    world.receive(event)
    world.drain()
    before = world.record(upload.document)
    assert world.receive(event) is None
    assert (world.record(upload.document), world.queue.sent) == (before, [])


@pytest.mark.parametrize("hashed", [True, False])
def test_a_reception_that_was_cut_short_before_it_was_noted_comes_to_the_same_end(world: World, hashed: bool) -> None:
    upload, policy = announce(world, hashed=hashed)
    event = arrives(world, policy)
    stores, world.uploads.store = world.uploads.store, _down  # type: ignore[method-assign]
    with pytest.raises(Transient):
        world.receive(event)
    world.uploads.store = stores  # type: ignore[method-assign]
    assert world.receive(event) is None
    world.drain()
    assert world.record(upload.document).status is Status.INDEXED
    assert (state(world, upload), left_of_uploads(world)) == (TaskState.SUCCESS, [])


def _down(upload: AwaitedUpload) -> None:
    raise Transient(why="the table is down")


def test_a_form_that_is_posted_twice_is_one_document_with_the_later_bytes(world: World) -> None:
    upload, policy = announce(world, "one", hashed=False)
    first, second = arrives(world, policy, "one", "01"), arrives(world, policy, "two", "02")
    world.clock.pass_time(timedelta(seconds=1))
    world.receive(second)
    world.receive(first)
    world.drain()
    assert [(hit.document, hit.text) for hit in world.search("two").hits] == [(upload.document, "two")]
    assert left_of_uploads(world) == []


def test_while_the_document_is_being_deleted_the_event_stays_in_its_queue(world: World) -> None:
    received = world.upload(TEXT)
    world.drain()
    world.delete(received)
    upload, policy = announce(world)
    event = arrives(world, policy)
    with pytest.raises(Transient):
        world.receive(event)
    world.drain()
    world.receive(event)
    world.drain()
    assert (world.record(received).status, state(world, upload)) == (Status.INDEXED, TaskState.SUCCESS)


def test_what_nobody_announced_is_removed(world: World, caplog: pytest.LogCaptureFixture) -> None:
    stored = world.objects.put(TENANT, f"uploads/{TENANT}/unknown/file", BytesIO(b"bytes"))
    assert world.receive(event_of(stored)) is None
    assert left_of_uploads(world) == []
    assert "no such upload is awaited" in caplog.text
    with pytest.raises(BadRequest):
        world.receive(replace(event_of(stored), key=f"uploads/{TENANT}/elsewhere"))


def test_an_upload_that_never_comes_fails_saying_what_to_do_and_is_forgotten(world: World) -> None:
    upload, _ = announce(world)
    world.clock.now = upload.post_until
    assert state(world, upload) is TaskState.PENDING, "one that began in time may still be on its way"
    world.clock.pass_time(timedelta(minutes=15))
    missing = task(world.services, TENANT, upload.task)
    assert missing.state is TaskState.FAILURE
    assert missing.failure is not None
    assert missing.failure.code == "upload_missing"
    assert "POST /v1/uploads" in missing.next_steps[0]
    world.clock.now = upload.expires_at
    with pytest.raises(NotFound):
        state(world, upload)


def test_one_that_s3_took_in_time_is_received_however_late_its_event_comes(world: World) -> None:
    """Accepted means kept."""
    upload, policy = announce(world)
    event = arrives(world, policy)
    world.clock.pass_time(timedelta(days=14))
    world.receive(event)
    world.drain()
    assert state(world, upload) is TaskState.SUCCESS


def test_after_its_end_its_file_is_removed(world: World) -> None:
    upload, policy = announce(world)
    event = arrives(world, policy)
    world.clock.now = upload.expires_at
    assert world.receive(event) is None
    assert (left_of_uploads(world), world.documents.items) == ([], {})


def test_a_file_that_is_gone_before_it_is_received_is_no_error(world: World) -> None:
    upload, policy = announce(world)
    event = arrives(world, policy)
    world.objects.remove(TENANT, event.key)
    assert world.receive(event) is None
    assert state(world, upload) is TaskState.PENDING


@pytest.mark.invariant("I10")
def test_no_tenant_follows_the_upload_of_another_nor_one_by_half_its_id(world: World) -> None:
    """I10."""
    upload, _ = announce(world)
    for tenant, id_ in ((TenantId("other"), upload.task), (TENANT, replace(upload.task, generation=1))):
        with pytest.raises(NotFound):
            task(world.services, tenant, id_)
    assert TaskId.parse(str(upload.task)) == upload.task
