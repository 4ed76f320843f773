"""Requeue: give a record a new attempt, and send its message."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime

from penstock.domain.document import Document
from penstock.domain.errors import Transient
from penstock.domain.lease import Lease
from penstock.domain.status import Status
from penstock.domain.task import Message, Stage
from penstock.services import Limits, Services

log = logging.getLogger(__name__)


def send_extract(services: Services, queued: Document) -> None:
    """Send the extract message of a record that was written before.

    Where the queue does not answer, the document is accepted all the same: the sweep sends the message (I6)."""
    try:
        services.queue.send(Message(Stage.EXTRACT, queued.tenant, queued.id, queued.generation), queued.lane)
    except Transient:
        log.warning("no message sent; the sweep will", extra={"tenant": queued.tenant, "document": queued.id})


def requeued(record: Document, now: datetime, limits: Limits) -> Document:
    """The record with a new attempt. A worker on the attempt before is fenced, but may still write to the index until
    its lease ends. The failure of that attempt moves to the history."""
    return replace(
        record,
        status=Status.QUEUED,
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
