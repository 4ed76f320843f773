"""Sweep: process the records that are due: resend lost messages, clear up once more, drop expired tombstones (I6)."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime, timedelta

from penstock.documents.cancel import finish_cancel
from penstock.documents.remove import end_of_generation
from penstock.domain.document import Document
from penstock.domain.errors import Fenced, PenstockError
from penstock.domain.ids import DocumentId, TenantId
from penstock.domain.status import FINAL, Status
from penstock.pipeline.stages import STAGES, owed_stage
from penstock.records.cleanup import clear_files, clear_stale
from penstock.records.compare_and_set import update_known_record, update_record
from penstock.records.shard_lease import last_shard_lease
from penstock.services import Services

log = logging.getLogger(__name__)


def sweep(services: Services, *, limit: int = 100) -> int:
    """Process at most `limit` records that are due. A record that fails stays due, and does not hold up the others.

    Returns:
        the number of records that were due, up to the limit.

    Raises:
        Transient: the table did not answer.
    """
    found = services.documents.due(services.clock(), limit)
    for tenant, document in found:
        try:
            sweep_record(services, tenant, document)
        except Fenced:
            continue  # another process has moved it on
        except Exception as error:
            trace = not isinstance(error, PenstockError)
            log.warning("still due: %s", error, exc_info=trace, extra={"tenant": tenant, "document": document})
            _postpone(services, tenant, document)
    return len(found)


def _postpone(services: Services, tenant: TenantId, document: DocumentId) -> None:
    """Let other records come first: otherwise records that fail again and again could fill every sweep."""
    sweep_at = services.clock() + services.limits.resend_after

    def decide(record: Document | None) -> Document | None:
        return record if record is None or record.sweep_at is None else replace(record, sweep_at=sweep_at)

    try:
        update_record(services, tenant, document, decide)
    except PenstockError as error:
        log.warning("not postponed: %s", error, extra={"tenant": tenant, "document": document})


def sweep_record(services: Services, tenant: TenantId, document: DocumentId) -> None:
    """Process one record, if it is due.

    Raises:
        Fenced: another process has moved it on.
        Transient: a service did not answer; the record stays due.
    """
    record = services.documents.read(tenant, document)
    if record is None or record.sweep_at is None or record.sweep_at > services.clock():
        return
    if record.status is Status.DELETED:
        services.index.clear(tenant, document, older_than=end_of_generation(record))
        update_known_record(services, tenant, document, record, lambda found: None if found == record else found)
    elif record.status in FINAL:
        _clear_again(services, record)
    elif record.cancel:
        finish_cancel(services, record)
    else:
        _resend(services, record)


def _clear_again(services: Services, record: Document) -> None:
    """Remove what stalled workers wrote after their attempt had ended. No lease of that time is alive any more."""
    clear_stale(services, record)
    clear_files(services, record)

    def decide(found: Document | None) -> Document | None:
        return found if found != record else replace(record, needs_cleanup=False, sweep_at=None)

    update_known_record(services, record.tenant, record.id, record, decide)


def _resend(services: Services, record: Document) -> None:
    """Send a message again that may be lost, and double the wait until the next time. If its queue is only long, the
    claim drops the copy; waiting is never judged as a failure."""
    now = services.clock()
    until = _leased_until(services, record)

    def decide(found: Document | None) -> Document | None:
        if found is None or found.generation != record.generation or found.status is not record.status:
            raise Fenced
        if found.sweep_at != record.sweep_at:
            raise Fenced  # another sweep has processed it
        if until is not None and until > now:
            return replace(found, sweep_at=until)
        return replace(found, sweep_at=now + timedelta(seconds=found.resend_wait), resend_wait=found.resend_wait * 2)

    _, after = update_known_record(services, record.tenant, record.id, record, decide)
    if after is None or (until is not None and until > now):
        return
    STAGES[owed_stage(after)].resend(services, after)


def _leased_until(services: Services, record: Document) -> datetime | None:
    shards = last_shard_lease(services, record) if record.status is Status.EMBEDDING else None
    return max((until for until in (record.lease.until, shards) if until is not None), default=None)
