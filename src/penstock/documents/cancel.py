"""Cancel: the work on the newest generation stops, and what it wrote goes; what readers saw before stays."""

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
    """Have the work stopped: at once where nobody holds it; else by its holder, at the next checkpoint. From now on
    nothing of it is claimed, embedded further or published. The task to poll is that of the ingest itself, which says
    REVOKED in the end. Asked twice, it is the same.

    Raises:
        NotFound, Deleted, BeingDeleted: there is no such document, no more, or soon no more.
        NothingToCancel: it has come to its end.
        Transient: nothing was changed, or it is asked for already: ask again.
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
    if record.cancel and _held_until(services, record) is None:
        _end(services, record)
    return TaskId(Operation.INGEST, record.generation, record.id)


def stop_cancelled(services: Services, message: Message, claim: Claim | None = None) -> None:
    """What a worker does that finds its work cancelled: let go of it. The last one to do so ends the attempt.

    Raises:
        Fenced: somebody else has ended it.
        Transient: a service did not answer; the sweep ends it.
    """
    if claim is not None:
        claim.release_if_held(services)
    record = services.documents.read(TenantId(message.tenant), DocumentId(message.document))
    if record is not None and record.generation == message.generation and record.cancel:
        finish_cancel(services, record)


def finish_cancel(services: Services, record: Document) -> None:
    """Remove what a cancelled attempt wrote, and end it; unless somebody still holds it: then not before that is over.

    Raises:
        Fenced, Transient: as for `stop_cancelled`.
    """
    until = _held_until(services, record)
    if until is not None:
        update_known_record(services, record.tenant, record.id, record, lambda found: _due(found, record, until))
        return
    clear_stale(services, record)
    clear_files(services, record)
    _end(services, record)


def _due(found: Document | None, record: Document, until: datetime) -> Document:
    if found is None or found.build_id != record.build_id or not found.cancel:
        raise Fenced
    return found if found.sweep_at == until else replace(found, sweep_at=until)


def _end(services: Services, record: Document) -> None:
    """Nobody holds it, and nobody can take it while its cancel is asked for."""

    def decide(found: Document | None) -> Document:
        if found is None or found.build_id != record.build_id or not found.cancel:
            raise Fenced
        return _cancelled(services, found)

    try:
        update_known_record(services, record.tenant, record.id, record, decide)
    except Fenced:
        return  # another has ended it, or a later wish came first


def _cancelled(services: Services, record: Document) -> Document:
    """Whoever stalls may write on for a lease: what it wrote goes then, once more."""
    stray = record.needs_cleanup or record.build != 0
    return record.moved(
        Status.CANCELLED,
        cancel=False,
        lease=replace(record.lease, until=None, not_before=None),
        pages_read=0,
        pages=0,
        needs_cleanup=stray,
        sweep_at=services.clock() + services.limits.lease if stray else None,
    )


def _held_until(services: Services, record: Document) -> datetime | None:
    """When the last lease on the newest build ends; None where none is alive."""
    now, ends = services.clock(), (record.lease.until, last_shard_lease(services, record))
    return max((each for each in ends if each is not None and each > now), default=None)
