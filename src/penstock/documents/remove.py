"""Remove: a document leaves the index, the bucket and the table, completely and counted. Only a tombstone stays."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from itertools import chain

from penstock.domain.document import Document, Original, earlier, milliseconds
from penstock.domain.errors import Fenced, LeftBehind, NotFound
from penstock.domain.ids import BuildId, DocumentId, TenantId
from penstock.domain.receipt import Removal
from penstock.domain.status import Status
from penstock.domain.task import Operation, Stage, TaskId
from penstock.ports import Listed
from penstock.records.cleanup import remove_files
from penstock.records.compare_and_set import update_known_record, update_record
from penstock.records.document_lease import DocumentLease
from penstock.records.requeue import awaiting_message, send_for
from penstock.records.work_files import FOLDERS, build_id_of_key
from penstock.services import Services

log = logging.getLogger(__name__)


def removed_original(key: str, sequencer: str | None) -> Original:
    """What is known of an object that was removed: its key, and its last place in S3's order of events."""
    return Original(key, "", "", 0, "", sequencer=sequencer)


def originals(record: Document) -> list[Original]:
    """The stored files of a document: the newest, and the one that readers still see, if that is another."""
    return list(dict.fromkeys([record.original, *([record.active.original] if record.active else [])]))


def end_of_generation(record: Document) -> BuildId:
    """A build id above every build of this generation, and below every build of a later one."""
    return BuildId(record.generation + 1, 0)


def request_removal(
    services: Services, tenant: TenantId, document: DocumentId, *, expected: Original | None = None
) -> TaskId:
    """Hide the document from readers at once, and send the message for its removal. Requested twice, it is one task.

    Args:
        expected: if given, the document is removed only while this is its newest file.

    Raises:
        Fenced: the newest file is not the expected one.
        NotFound: there is no such document, or it is deleted already.
        Transient: nothing was changed.
    """

    def decide(record: Document | None) -> Document:
        if record is None or record.status is Status.DELETED:
            raise NotFound(what="document", id=document)
        if expected is not None and record.original != expected:
            raise Fenced
        return _deleting(services, record, record.original)

    record = _update_and_send(services, tenant, document, decide)
    return TaskId(Operation.DELETE, record.generation, record.id)


def receive_removal(services: Services, tenant: TenantId, document: DocumentId, removed: Original) -> None:
    """Receive the report that an object of the drop folder was removed. An object that arrived later than that stays.
    If no arrival of the object is known yet, a tombstone is written, so that its arrival is recognised as out of date
    when it is reported.

    Args:
        removed: the key, and the sequencer of its removal.

    Raises:
        Transient: nothing was changed.
    """
    now = services.clock()

    def decide(record: Document | None) -> Document:
        if record is None:
            return _new_tombstone(services, tenant, document, removed, now)
        known = record.original.sequencer
        if known is not None and removed.sequencer is not None and earlier(removed.sequencer, known):
            return record
        latest = replace(record.original, sequencer=removed.sequencer)
        if record.status is Status.DELETED:
            return record if latest == record.original else replace(record, original=latest)
        return _deleting(services, record, latest)

    _update_and_send(services, tenant, document, decide)


def _update_and_send(
    services: Services, tenant: TenantId, document: DocumentId, decide: Callable[[Document | None], Document]
) -> Document:
    """Write the record, and send the delete message if the document is now to be deleted and was not before."""
    before, after = update_record(services, tenant, document, decide)
    assert after is not None, "a removal leaves a tombstone"
    if after.status is Status.DELETING and before is not None and before.status is not Status.DELETING:
        send_for(services, after, Stage.DELETE)  # the record alone hides the document from readers already
    return after


def _deleting(services: Services, record: Document, original: Original) -> Document:
    """The record, to be deleted."""
    if record.status is Status.DELETING:
        return record if original == record.original else replace(record, original=original)
    deleting = replace(
        record,
        status=Status.DELETING,
        original=original,
        lease=replace(record.lease, attempts=0, not_before=None),
        failure=None,
        history=(),
        cancel=False,
    )
    return awaiting_message(deleting, services.clock(), services.limits)


def _new_tombstone(
    services: Services, tenant: TenantId, document: DocumentId, removed: Original, now: datetime
) -> Document:
    """The tombstone of a document that never had a record."""
    ends = now + services.limits.keep_tombstone
    return Document(
        tenant, document, milliseconds(now), Status.DELETED, now, removed, source="", expires_at=ends, sweep_at=ends
    )


def remove(services: Services, claim: DocumentLease) -> None:
    """Do the work of the delete stage. No worker holds a lease on the document any more: `take_delete` has waited for
    that.

    Nothing newer than this generation is touched: if this worker stalls and another completes the removal, files that
    are uploaded afterwards are not affected.

    Everything is counted before and after: the receipt says what was removed, and that nothing remained.

    Raises:
        LeftBehind: something is still there, or was written meanwhile; the stage has to be repeated.
        Fenced: another worker took over the removal.
        Transient: a service did not answer; it is safe to repeat what was done already.
    """
    record, tenant = claim.document, claim.tenant
    counted = _record_count(services, claim, _count(services, record))
    services.index.clear(tenant, record.id, older_than=end_of_generation(record))
    for original in originals(record):
        services.objects.remove(tenant, original.key, original.version)
    remove_files(services, record, older_than=end_of_generation(record))
    remaining = _count(services, record)
    if remaining != Removal():
        raise LeftBehind(chunks=remaining.chunks, objects=remaining.objects)
    _write_tombstone(services, counted)


def _count(services: Services, record: Document) -> Removal:
    """The number of chunks, objects and object versions of this generation and of older ones."""
    services.index.refresh(record.tenant)
    builds = services.index.builds(record.tenant, record.id)
    chunks = sum(count.chunks for _, build_id, count in builds if build_id < end_of_generation(record))
    objects, versions, last_key = 0, 0, ""
    for each in chain(_versions_of_originals(services, record), _files(services, record)):
        objects += each.key != last_key
        versions += 1
        last_key = each.key
    return Removal(chunks, objects, versions)


def _versions_of_originals(services: Services, record: Document) -> Iterator[Listed]:
    """The recorded versions of the originals, and the versions older than them."""
    recorded = {(original.key, original.version) for original in originals(record)}
    for key in sorted({key for key, _ in recorded}):
        reached = False
        for each in services.objects.listed(record.tenant, key):
            if each.key != key:
                break  # this key is listed before the longer ones that begin with it
            reached = reached or (key, each.version) in recorded
            if reached and not each.marker:
                yield each


def _files(services: Services, record: Document) -> Iterator[Listed]:
    """The work files and receipts of this generation and of older ones."""
    for folder in FOLDERS:
        for each in services.objects.listed(record.tenant, f"{folder}/{record.tenant}/{record.id}/"):
            build_id = build_id_of_key(each.key)
            if build_id is not None and build_id < end_of_generation(record) and not each.marker:
                yield each


def _record_count(services: Services, claim: DocumentLease, found: Removal) -> DocumentLease:
    """The claim, after its record was given the count of what was found. This is written before anything is removed, so
    that the count survives a worker that dies."""

    def decide(record: Document | None) -> Document:
        record = claim.held(record)
        removal = found if record.removal is None else record.removal.with_more(found)
        return record if removal == record.removal else replace(record, removal=removal)

    _, after = update_known_record(services, claim.tenant, claim.document.id, claim.document, decide)
    assert after is not None, "counting deletes nothing"
    return replace(claim, document=after)


def remove_missing(services: Services, claim: DocumentLease) -> None:
    """Request the removal of a document whose file extract did not find in the drop folder: somebody has removed the
    file, and the event that reports it may come later, or never.

    Raises:
        Fenced: the claim was lost; its new holder decides.
    """

    def decide(record: Document | None) -> Document:
        record = claim.held(record)
        return _deleting(services, replace(record, lease=record.lease.released(claim.epoch)), record.original)

    _update_and_send(services, claim.tenant, claim.document.id, decide)


def _write_tombstone(services: Services, claim: DocumentLease) -> None:
    now = services.clock()

    def decide(record: Document | None) -> Document:
        record = claim.held(record)
        ends = now + services.limits.keep_tombstone
        return replace(
            record,
            status=Status.DELETED,
            original=removed_original(record.original.key, record.original.sequencer),
            active=None,
            receipt=None,
            failure=None,
            metadata={},
            lease=record.lease.released(claim.epoch),
            needs_cleanup=False,
            cancel=False,
            expires_at=ends,
            sweep_at=ends,
        )

    update_known_record(services, claim.tenant, claim.document.id, claim.document, decide)
