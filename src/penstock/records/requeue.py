"""Requeue: give a record a new attempt, and send its message."""

from __future__ import annotations

import logging
from datetime import datetime

from penstock.domain.document import Document
from penstock.domain.errors import Transient
from penstock.domain.lease import Lease
from penstock.domain.status import Status
from penstock.domain.task import Message, Stage
from penstock.services import Limits, Services

log = logging.getLogger(__name__)


def send_extract(services: Services, queued: Document) -> None:
    """Send the message of a record that was written before."""
    try:
        services.queue.send(Message(Stage.EXTRACT, queued.tenant, queued.id, queued.generation), queued.lane)
    except Transient:
        # The record stands, so the document is accepted: the sweep sends its message when it falls due (I6).
        log.warning("no message sent; the sweep will", extra={"tenant": queued.tenant, "document": queued.id})


def requeued(record: Document, now: datetime, limits: Limits) -> Document:
    """The record with a new attempt. Who works on the one before is fenced, and still may write until a lease's end.
    What that one failed of is history."""
    return record.moved(
        Status.QUEUED,
        accepted=now,
        lease=Lease(record.lease.epoch),
        needs_cleanup=record.needs_cleanup or record.build != 0,
        quiet_until=now + limits.lease if record.in_work else record.quiet_until,
        pages_read=0,
        pages=0,
        receipt=None,
        failure=None,
        history=record.remembered,
        cancel=False,
        removal=None,
        sweep_at=now + limits.resend_after,
        resend_wait=int(limits.resend_after.total_seconds()),
        expires_at=None,
    )
