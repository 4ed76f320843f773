"""Retry: begin anew with what failed or was cancelled: the same bytes, attempts from zero, vectors that are known."""

from __future__ import annotations

from collections.abc import Collection

from penstock.document import Document, DocumentId, Status, TenantId
from penstock.errors import NothingToRetry
from penstock.ports import Services
from penstock.receive import ask, requeued
from penstock.revise import revise, standing
from penstock.task import Operation, TaskId

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
        record = standing(record, document)
        if record.status in _GOES_ON and not record.cancel:
            return record
        if not record.cancel and record.status not in of:
            raise NothingToRetry(document=document, status=record.status)
        return requeued(record, now, services.limits)

    before, after = revise(services, tenant, document, decide)
    assert after is not None, "a retry deletes nothing"
    if after is not before:
        ask(services, after)
    return TaskId(Operation.INGEST, after.generation, after.id)
