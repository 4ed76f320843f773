"""Retry: start again with a document that failed or was cancelled. The bytes stay, attempts count from zero, and
vectors that the index already has are not paid for again."""

from __future__ import annotations

from collections.abc import Collection

from penstock.domain.document import Document
from penstock.domain.errors import NothingToRetry
from penstock.domain.ids import DocumentId, TenantId
from penstock.domain.status import Status
from penstock.domain.task import Operation, Stage, TaskId
from penstock.records.compare_and_set import existing_record, update_record
from penstock.records.requeue import requeued, send_for
from penstock.services import Services

RETRYABLE = frozenset({Status.FAILED, Status.CANCELLED})
"""The statuses from which a caller can retry a document."""
_UNDER_WAY = frozenset({Status.QUEUED, Status.EXTRACTING, Status.EMBEDDING})


def is_retryable(record: Document, statuses: Collection[Status] = RETRYABLE) -> bool:
    """Whether a new attempt on the same bytes may start: the document has one of these statuses, or will soon be
    cancelled."""
    return record.cancel or record.status in statuses


def request_retry(
    services: Services, tenant: TenantId, document: DocumentId, *, statuses: Collection[Status] = RETRYABLE
) -> TaskId:
    """Start a new attempt on the bytes of the newest generation. The task to poll is its ingest task, as before.

    Nothing changes if the document is under way already. If its cancel was requested and is not finished, the new
    attempt replaces the cancel.

    Args:
        statuses: the statuses from which the document is retried.

    Raises:
        NotFound, Deleted, BeingDeleted: the document does not exist, was deleted, or is being deleted.
        NothingToRetry: the document has none of these statuses.
        Transient: nothing was changed.
    """
    now = services.clock()

    def decide(record: Document | None) -> Document:
        record = existing_record(record, document)
        if record.status in _UNDER_WAY and not record.cancel:
            return record
        if not is_retryable(record, statuses):
            raise NothingToRetry(document=document, status=record.status)
        return requeued(record, now, services.limits)

    before, after = update_record(services, tenant, document, decide)
    assert after is not None, "a retry deletes nothing"
    if after is not before:
        send_for(services, after, Stage.EXTRACT)
    return TaskId(Operation.INGEST, after.generation, after.id)
