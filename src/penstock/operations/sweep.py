"""Sweep: find what is due and see to it: lost messages, second clearings, tombstones past their time (I6)."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime, timedelta

from penstock.documents.cancel import finish_cancel
from penstock.domain.document import BuildId, Document
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
    """See to at most `limit` records; how many there were. One that fails stays due, and does not keep the others.

    Raises:
        Transient: the table did not answer.
    """
    found = services.documents.due(services.clock(), limit)
    for tenant, document in found:
        try:
            see_to(services, tenant, document)
        except Fenced:
            continue  # somebody else got on with it
        except Exception as error:
            trace = not isinstance(error, PenstockError)
            log.warning("still due: %s", error, exc_info=trace, extra={"tenant": tenant, "document": document})
            _postpone(services, tenant, document)
    return len(found)


def _postpone(services: Services, tenant: TenantId, document: DocumentId) -> None:
    """Let others come first: what fails again and again must not be all that is ever looked at."""
    due = services.clock() + services.limits.resend_after

    def decide(record: Document | None) -> Document | None:
        return record if record is None or record.sweep_at is None else replace(record, sweep_at=due)

    try:
        update_record(services, tenant, document, decide)
    except PenstockError as error:
        log.warning("not postponed: %s", error, extra={"tenant": tenant, "document": document})


def see_to(services: Services, tenant: TenantId, document: DocumentId) -> None:
    """What is due of one record.

    Raises:
        Fenced: somebody else got on with it.
        Transient: a service did not answer; it stays due.
    """
    record = services.documents.read(tenant, document)
    if record is None or record.sweep_at is None or record.sweep_at > services.clock():
        return
    if record.status is Status.DELETED:
        services.index.clear(tenant, document, older_than=BuildId(record.generation + 1, 0))
        update_known_record(services, tenant, document, record, lambda found: None if found == record else found)
    elif record.status in FINAL:
        _clear_again(services, record)
    elif record.cancel:
        finish_cancel(services, record)
    else:
        _resend(services, record)


def _clear_again(services: Services, record: Document) -> None:
    """No lease that lived when the attempt ended is alive now: what stalled writers wrote since then goes."""
    clear_stale(services, record)
    clear_files(services, record)

    def decide(found: Document | None) -> Document | None:
        return found if found != record else replace(record, needs_cleanup=False, sweep_at=None)

    update_known_record(services, record.tenant, record.id, record, decide)


def _resend(services: Services, record: Document) -> None:
    """A message that may be lost is sent again, and twice as long is waited for it. Its queue may only be long: a
    copy is dropped by its claim, and waiting is never judged dead."""
    now = services.clock()
    until = _leased_until(services, record)

    def decide(found: Document | None) -> Document | None:
        if found is None or found.generation != record.generation or found.status is not record.status:
            raise Fenced
        if found.sweep_at != record.sweep_at:
            raise Fenced  # another sweep saw to it
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
