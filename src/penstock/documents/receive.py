"""Receive: both doors meet in `receive_document`. The record first, then the message (I6)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import BinaryIO

from penstock.documents.remove import receive_removal
from penstock.domain.document import Document, Original, earlier, milliseconds
from penstock.domain.errors import BadRequest, BeingDeleted, EmptyFile, OriginalMissing, Transient
from penstock.domain.ids import DocumentId, TenantId, derived_id, tenant_id
from penstock.domain.status import Status
from penstock.domain.task import Lane, Operation, TaskId
from penstock.domain.upload import AwaitedUpload, UploadId
from penstock.ports import Stored
from penstock.records.compare_and_set import update_known_record
from penstock.records.requeue import requeued, send_extract
from penstock.services import Limits, Services

log = logging.getLogger(__name__)

_UNNAMED_SOURCE = "drop"
_UNSTORED = "none yet"
"""In the place of a version."""
_RETRIED = {Status.FAILED, Status.CANCELLED}


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that came by HTTPS, spooled and hashed."""

    content: BinaryIO
    """At its beginning."""
    name: str
    size: int
    sha256: str
    content_type: str | None
    sequencer: str | None = None
    """Where the order in which versions of it come is known otherwise than by when they come; see `earlier`."""


@dataclass(frozen=True, slots=True)
class ObjectEvent:
    """What S3 says of an object under `drop/` or `uploads/`: created, or removed (by a delete marker)."""

    key: str
    version: str
    size: int
    etag: str
    sequencer: str | None
    """None where it was found lying there, and no event was heard of."""
    removed: bool


@dataclass(frozen=True, slots=True)
class Arrival:
    """Bytes that lie in the bucket and want to be the newest generation of a document."""

    tenant: TenantId
    document: DocumentId
    original: Original
    source: str
    lane: Lane = Lane.STANDARD
    metadata: Mapping[str, str] | None = None
    container: DocumentId | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """What became of an arrival, and the task to poll."""

    document: Document
    already_here: bool
    """The same bytes are the newest generation already: there is nothing to do."""

    @property
    def task(self) -> TaskId:
        return TaskId(Operation.INGEST, self.document.generation, self.document.id)


def receive_upload(
    services: Services,
    tenant: TenantId,
    upload: Upload,
    *,
    document: DocumentId | None,
    source: str,
    lane: Lane,
    metadata: Mapping[str, str],
    container: DocumentId | None = None,
) -> Received:
    """A file by HTTPS, or from the archive `container`. Without a `document` its id is a hash of tenant, source and
    bytes.

    Raises:
        BeingDeleted: the document is; send it again afterwards.
        EmptyFile: the file has no bytes.
        Transient: a service did not answer; nothing was accepted.
    """
    if upload.size == 0:
        raise EmptyFile
    document = document or derived_id(tenant, source, upload.sha256)
    key = f"files/{tenant}/{document}"
    known = services.documents.read(tenant, document)
    if known is not None and known.status is Status.DELETING:
        raise BeingDeleted(document=document)
    if known is not None and _is_newest(known, sha256=upload.sha256) and not _begins_anew(known):
        return Received(known, already_here=True)
    if known is not None and _came_before(Original(key, _UNSTORED, "", 0, "", sequencer=upload.sequencer), known):
        return Received(known, already_here=True)
    stored = services.objects.put(tenant, key, upload.content, content_type=upload.content_type)
    original = Original(
        key,
        stored.version,
        upload.name,
        upload.size,
        stored.etag,
        upload.sha256,
        upload.content_type,
        upload.sequencer,
    )
    arrival = Arrival(tenant, document, original, source, lane, metadata, container)
    try:
        return receive_document(services, arrival, known)
    except BeingDeleted:
        services.objects.remove(tenant, key, stored.version)
        raise


def receive_object(services: Services, event: ObjectEvent) -> Received | None:
    """An object of the drop folder, `drop/{tenant}/{source}/…`; the same key again is the same document. What lies in
    the tenant's folder itself has the source "drop". Or one that was awaited, under `uploads/{tenant}/{upload}/`.
    None where there was nothing to do: a duplicate, one out of order, or one that nobody announced.

    Raises:
        Transient: it shall come again; among others, while the document is being deleted.
        Permanent: the key is none of these, or the object has no bytes.
    """
    if event.key.startswith("uploads/"):
        return _receive_awaited(services, event)
    folder, _, place = event.key.partition("/")
    whose, _, path = place.partition("/")
    if folder != "drop" or not path:
        raise BadRequest(why=f"{event.key!r} is no drop-folder key: use drop/TENANT/SOURCE/NAME.")
    source, _, rest = path.partition("/")
    tenant, name = tenant_id(whose), path.rsplit("/", 1)[-1]
    source = source if source and rest else _UNNAMED_SOURCE
    document = derived_id(tenant, event.key)
    if event.removed:
        receive_removal(services, tenant, document, Original(event.key, "", "", 0, "", sequencer=event.sequencer))
        return None
    if event.key.endswith("/"):
        return None  # what a console makes to show an empty folder
    original = Original(event.key, event.version, name, event.size, event.etag.strip('"'), sequencer=event.sequencer)
    try:
        known = services.documents.read(tenant, document)
        received = receive_document(services, Arrival(tenant, document, original, source), known)
    except BeingDeleted as error:
        raise after_removal(services, error) from error
    return None if received.already_here else received


def _receive_awaited(services: Services, event: ObjectEvent) -> Received | None:
    """A file that was announced. It leaves `uploads/`, so that nothing there is worth keeping, and lies where a file by
    HTTPS would: every generation of a document that did not come by the drop folder is a version of one key.

    Done again after it was cut short, it comes to the same end: what the upload became is noted before its file goes.
    """
    tenant, upload = _awaited(services, event)
    if event.removed:
        return None
    if upload is None or _seen(upload, event):
        if upload is None:
            log.warning("removed %s: no such upload is awaited", event.key)
        services.objects.remove(tenant, event.key, event.version)
        return None
    received = _receive_upload_of(services, upload, event)
    if received is None:
        return None
    services.uploads.store(replace(upload, generation=received.document.generation, sequencer=event.sequencer))
    services.objects.remove(tenant, event.key, event.version)
    return None if received.already_here else received


def _seen(upload: AwaitedUpload, event: ObjectEvent) -> bool:
    """Whether this event came before, or one that is later."""
    if upload.sequencer is None or event.sequencer is None:
        return upload.generation is not None
    return not earlier(upload.sequencer, event.sequencer)


def _awaited(services: Services, event: ObjectEvent) -> tuple[TenantId, AwaitedUpload | None]:
    """
    Raises:
        BadRequest: the key was not given out for an upload.
    """
    parts = event.key.split("/")
    if len(parts) != 4:  # noqa: PLR2004 - uploads/tenant/upload/file
        raise BadRequest(why=f"{event.key!r} is no key of an upload: ask POST /v1/uploads for one.")
    tenant = tenant_id(parts[1])
    upload = services.uploads.find(tenant, UploadId(parts[2]))
    return tenant, None if upload is None or upload.expires_at <= services.clock() else upload


def _receive_upload_of(services: Services, upload: AwaitedUpload, event: ObjectEvent) -> Received | None:
    """None where the file is gone again."""
    arrived, key = event.etag.strip('"'), f"files/{upload.tenant}/{upload.document}"
    record = services.documents.read(upload.tenant, upload.document)
    if record is not None and record.status is Status.DELETING:
        raise after_removal(services, BeingDeleted(document=record.id))
    newest = record is not None and _is_newest(record, sha256=upload.sha256, etag=arrived)
    if record is not None and newest and not _begins_anew(record):
        return Received(record, already_here=True)
    try:
        stored = services.objects.copy(upload.tenant, Stored(event.key, event.version, event.size, arrived), key)
    except OriginalMissing:
        log.warning("ignored %s: it was removed before it was received", event.key)
        return None
    original = Original(key, stored.version, upload.name, event.size, stored.etag, upload.sha256, upload.content_type)
    arrival = Arrival(upload.tenant, upload.document, original, upload.source, upload.lane, upload.metadata)
    try:
        return receive_document(services, arrival, record)
    except BeingDeleted as error:
        services.objects.remove(upload.tenant, key, stored.version)
        raise after_removal(services, error) from error


def after_removal(services: Services, error: BeingDeleted) -> Transient:
    return Transient(why=str(error), retry_after=services.limits.lease.total_seconds())


def receive_document(services: Services, arrival: Arrival, known: Document | None) -> Received:
    """Make these bytes the newest generation of their document and ask for its extraction, if there is anything to do.

    Args:
        known: the record as the door has read it.

    Raises:
        BeingDeleted: not before that is done.
        Transient: nothing was accepted.
    """
    now = services.clock()

    def decide(record: Document | None) -> Document:
        if record is None:
            return _first(arrival, now, services.limits)
        if record.status is Status.DELETING and not _came_before(arrival.original, record):
            raise BeingDeleted(document=record.id)
        if _came_before(arrival.original, record):
            return record
        alive = record.status is not Status.DELETED
        same = alive and _is_newest(record, sha256=arrival.original.sha256, etag=arrival.original.etag)
        if same and _begins_anew(record):
            return _arrived(requeued(record, now, services.limits), arrival)
        if same:
            return _seen_again(record, arrival.original)
        return _replaced(record, arrival, now, services.limits)

    before, after = update_known_record(services, arrival.tenant, arrival.document, known, decide)
    assert after is not None, "a receive never deletes the record"
    asked = before is None or before.status is not Status.QUEUED or before.generation != after.generation
    if after.status in {Status.DELETING, Status.DELETED}:
        # Its removal was heard of before its arrival, and took what there was then.
        services.objects.remove(arrival.tenant, arrival.original.key, arrival.original.version)
    if after.status is not Status.QUEUED or not asked:
        return Received(after, already_here=True)
    send_extract(services, after)
    return Received(after, already_here=False)


def _first(arrival: Arrival, now: datetime, limits: Limits) -> Document:
    return Document(
        tenant=arrival.tenant,
        id=arrival.document,
        generation=milliseconds(now),
        status=Status.QUEUED,
        accepted=now,
        original=arrival.original,
        source=arrival.source,
        lane=arrival.lane,
        metadata=dict(arrival.metadata or {}),
        container=arrival.container,
        sweep_at=now + limits.resend_after,
        resend_wait=int(limits.resend_after.total_seconds()),
    )


def _replaced(record: Document, arrival: Arrival, now: datetime, limits: Limits) -> Document:
    """The record with these bytes as its newest generation."""
    return replace(
        _arrived(requeued(record, now, limits), arrival),
        generation=max(record.generation + 1, milliseconds(now)),
        history=(),
    )


def _arrived(record: Document, arrival: Arrival) -> Document:
    return replace(
        record,
        original=arrival.original,
        source=arrival.source,
        lane=arrival.lane,
        metadata=dict(arrival.metadata or {}),
        container=arrival.container,
    )


def _seen_again(record: Document, original: Original) -> Document:
    """The record of bytes that came again: S3's later sequencer and version are kept, so that an older event of this
    key is still known as older, and removal takes the version that is there."""
    if original.sequencer is None or original.version == record.original.version:
        return record
    latest = replace(record.original, version=original.version, sequencer=original.sequencer)
    return replace(record, original=latest)


def _begins_anew(record: Document) -> bool:
    """Whether its own bytes, sent again, are a new attempt."""
    return record.cancel or record.status in _RETRIED


def _is_newest(record: Document, *, sha256: str | None, etag: str | None = None) -> bool:
    """Whether these are the bytes of the newest generation: by sha256 where both are known, else by S3's ETag, which
    tells equal bytes only of the same way of uploading; extract hashes and looks again."""
    if record.status is Status.DELETED:
        return False
    newest = record.original
    if sha256 is not None and newest.sha256 is not None:
        return sha256 == newest.sha256
    return etag is not None and bool(newest.etag) and etag == newest.etag


def _came_before(event: Original, record: Document) -> bool:
    """Whether S3 says that this object is older than the newest known, or is that one itself. A tombstone knows of no
    version, but of the last sequencer."""
    newest = record.original
    if event.sequencer is None or newest.sequencer is None or event.key != newest.key:
        return False
    if event.version == newest.version:
        return True
    if record.status is Status.DELETED:
        return not earlier(newest.sequencer, event.sequencer)
    return earlier(event.sequencer, newest.sequencer)
