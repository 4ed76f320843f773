"""Receive: every way in meets in `receive_document`. It writes the record first and sends the message second (I6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import BinaryIO

from penstock.documents.arrival import NEW_ATTEMPT, NOTHING_TO_DO, Arrival, decide, next_record
from penstock.domain.document import Document, Original
from penstock.domain.errors import BeingDeleted, EmptyFile, Transient
from penstock.domain.ids import DocumentId, TenantId, derived_id
from penstock.domain.status import Status
from penstock.domain.task import Lane, Operation, Stage, TaskId
from penstock.records.compare_and_set import update_known_record
from penstock.records.requeue import send_for
from penstock.services import Services

NOT_STORED = "none yet"
"""The version of an object that is not in the bucket yet. It equals no version that S3 gives out."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that came by HTTPS or in an archive, spooled and hashed."""

    content: BinaryIO
    """The bytes, positioned at the beginning."""
    name: str
    size: int
    sha256: str
    content_type: str | None
    sequencer: str | None = None
    """The place of these bytes in the order of their document's versions, if that is not the order in which they are
    received; see `earlier`."""


@dataclass(frozen=True, slots=True)
class Received:
    """What became of an arrival, and the task to poll."""

    document: Document
    already_here: bool
    """Whether there is nothing to do: the newest generation has the same bytes already."""

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
    """Receive a file that came by HTTPS, or in the archive `container`. Without a `document`, the id is a hash of
    tenant, source and bytes.

    Raises:
        BeingDeleted: the document is being deleted; send the file again afterwards.
        EmptyFile: the file has no bytes.
        Transient: a service did not answer; nothing was accepted.
    """
    if upload.size == 0:
        raise EmptyFile
    document = document or derived_id(tenant, source, upload.sha256)
    known = services.documents.read(tenant, document)
    if known is not None and known.status is Status.DELETING:
        raise BeingDeleted(document=document)
    key = f"files/{tenant}/{document}"
    original = Original(
        key, NOT_STORED, upload.name, upload.size, "", upload.sha256, upload.content_type, upload.sequencer
    )
    arrival = Arrival(tenant, document, original, source, lane, metadata, container)
    if known is not None and decide(known, arrival) in NOTHING_TO_DO:
        return Received(known, already_here=True)
    stored = services.objects.put(tenant, key, upload.content, content_type=upload.content_type)
    arrival = replace(arrival, original=replace(original, version=stored.version, etag=stored.etag))
    try:
        return receive_document(services, arrival, known)
    except BeingDeleted:
        services.objects.remove(tenant, key, stored.version)
        raise


def receive_document(services: Services, arrival: Arrival, known: Document | None) -> Received:
    """Make these bytes the newest generation of their document and send its extract message, if anything is to be done.

    Args:
        known: the record as the caller has just read it.

    Raises:
        BeingDeleted: the document is being deleted; the arrival has to come again afterwards.
        Transient: nothing was accepted.
    """
    now = services.clock()
    before, after = update_known_record(
        services,
        arrival.tenant,
        arrival.document,
        known,
        lambda record: next_record(record, arrival, now, services.limits),
    )
    assert after is not None, "receiving never deletes the record"
    if after.hidden:
        # The event of the removal came before this one; the object came too late to be removed with the others.
        services.objects.remove(arrival.tenant, arrival.original.key, arrival.original.version)
    if decide(before, arrival) not in NEW_ATTEMPT:
        return Received(after, already_here=True)
    send_for(services, after, Stage.EXTRACT)
    return Received(after, already_here=False)


def retry_after_removal(services: Services, error: BeingDeleted) -> Transient:
    """The error for a caller that shall try again by itself when the removal is likely to be complete."""
    return Transient(why=str(error), retry_after=services.limits.lease.total_seconds())
