"""Retry: begin anew with what failed or was cancelled: the same bytes, attempts from zero, vectors that are known."""

from __future__ import annotations

from collections.abc import Collection

from penstock.domain.document import Document
from penstock.domain.errors import NothingToRetry
from penstock.domain.ids import DocumentId, TenantId
from penstock.domain.status import Status
from penstock.domain.task import Operation, TaskId
from penstock.records.compare_and_set import existing_record, update_record
from penstock.records.requeue import requeued, send_extract
from penstock.services import Services

_GOES_ON = frozenset({Status.QUEUED, Status.EXTRACTING, Status.EMBEDDING})
RETRIED = frozenset({Status.FAILED, Status.CANCELLED})


def request_retry(
    services: Services, tenant: TenantId, document: DocumentId, *, of: Collection[Status] = RETRIED
) -> TaskId:
    """A new attempt on the bytes of the newest generation. The task to poll is that of the ingest, once more. Of one
    that goes on already nothing is changed; one that is about to be cancelled goes on instead.

    Args:
        of: what is begun anew.

    Raises:
        NotFound, Deleted, BeingDeleted: there is no such document, no more, or soon no more.
        NothingToRetry: it has come to a good end.
        Transient: nothing was changed.
    """
    now = services.clock()

    def decide(record: Document | None) -> Document:
        record = existing_record(record, document)
        if record.status in _GOES_ON and not record.cancel:
            return record
        if not record.cancel and record.status not in of:
            raise NothingToRetry(document=document, status=record.status)
        return requeued(record, now, services.limits)

    before, after = update_record(services, tenant, document, decide)
    assert after is not None, "a retry deletes nothing"
    if after is not before:
        send_extract(services, after)
    return TaskId(Operation.INGEST, after.generation, after.id)
