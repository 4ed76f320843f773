"""Cancel: the work on the newest generation stops, and what it wrote is removed. Readers keep what they saw before."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from penstock.domain.document import Document
from penstock.domain.errors import Fenced, NothingToCancel
from penstock.domain.ids import DocumentId, TenantId
from penstock.domain.status import FINAL, Status
from penstock.domain.task import Message, Operation, TaskId
from penstock.records.claim import Claim
from penstock.records.cleanup import clear_files, clear_stale
from penstock.records.compare_and_set import existing_record, update_known_record, update_record
from penstock.records.shard_lease import last_shard_lease
from penstock.services import Services


def request_cancel(services: Services, tenant: TenantId, document: DocumentId) -> TaskId:
    """Stop the work on a document: at once if no worker holds it, else its worker stops at its next check. From now on
    nothing of it is claimed, embedded or published. The task to poll is the ingest task, which ends as REVOKED. A
    second request has the same result.

    Raises:
        NotFound, Deleted, BeingDeleted: the document does not exist, was deleted, or is being deleted.
        NothingToCancel: the work has ended already.
        Transient: a service did not answer; the cancel may be requested already, so request it again.
    """
    now = services.clock()

    def decide(record: Document | None) -> Document:
        record = existing_record(record, document)
        if record.cancel or record.status is Status.CANCELLED:
            return record
        if record.status in FINAL:
            raise NothingToCancel(document=document, status=record.status)
        if record.status is Status.QUEUED:
            return _cancelled(services, record)
        return replace(record, cancel=True, sweep_at=now)

    _, record = update_record(services, tenant, document, decide)
    assert record is not None, "a cancel deletes nothing"
    if record.cancel and _leased_until(services, record) is None:
        _write_cancelled(services, record)
    return TaskId(Operation.INGEST, record.generation, record.id)


def stop_cancelled(services: Services, message: Message, claim: Claim | None = None) -> None:
    """Release the claim of a worker that finds its work cancelled. The last worker to do so ends the attempt.

    Raises:
        Fenced: another process has ended the attempt.
        Transient: a service did not answer; the sweep ends the attempt.
    """
    if claim is not None:
        claim.release_if_held(services)
    record = services.documents.read(TenantId(message.tenant), DocumentId(message.document))
    if record is not None and record.generation == message.generation and record.cancel:
        finish_cancel(services, record)


def finish_cancel(services: Services, record: Document) -> None:
    """Remove what a cancelled attempt wrote, and end it. While a worker still holds a lease on it, the sweep is only
    scheduled for the end of the last lease.

    Raises:
        Fenced, Transient: as for `stop_cancelled`.
    """
    until = _leased_until(services, record)
    if until is not None:
        _sweep_at(services, record, until)
        return
    clear_stale(services, record)
    clear_files(services, record)
    _write_cancelled(services, record)


def _sweep_at(services: Services, record: Document, until: datetime) -> None:
    def decide(found: Document | None) -> Document:
        found = _same_attempt(found, record)
        return found if found.sweep_at == until else replace(found, sweep_at=until)

    update_known_record(services, record.tenant, record.id, record, decide)


def _write_cancelled(services: Services, record: Document) -> None:
    """End the attempt. No worker holds it, and none can claim it while its cancel is requested."""

    def decide(found: Document | None) -> Document:
        return _cancelled(services, _same_attempt(found, record))

    try:
        update_known_record(services, record.tenant, record.id, record, decide)
    except Fenced:
        return  # another process has ended it, or a later request came first


def _same_attempt(found: Document | None, record: Document) -> Document:
    """The record as it was found, if it is still of the same attempt and to be cancelled.

    Raises:
        Fenced: it is not.
    """
    if found is None or found.build_id != record.build_id or not found.cancel:
        raise Fenced
    return found


def _cancelled(services: Services, record: Document) -> Document:
    """The record with its attempt ended as cancelled. A stalled worker may write on for the length of one lease; the
    sweep then removes what it has written."""
    needs_cleanup = record.needs_cleanup or record.build != 0
    return replace(
        record,
        status=Status.CANCELLED,
        cancel=False,
        lease=replace(record.lease, until=None, not_before=None),
        pages_read=0,
        pages=0,
        needs_cleanup=needs_cleanup,
        sweep_at=services.clock() + services.limits.lease if needs_cleanup else None,
    )


def _leased_until(services: Services, record: Document) -> datetime | None:
    """When the last lease on the newest build ends. It is None if no lease is alive."""
    now, ends = services.clock(), (record.lease.until, last_shard_lease(services, record))
    return max((each for each in ends if each is not None and each > now), default=None)
