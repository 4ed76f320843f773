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


def send_for(services: Services, written: Document, stage: Stage) -> None:
    """Send the message of this stage for a record that was written before.

    Where the queue does not answer, the record stands all the same: the sweep sends the message when it is due (I6).
    """
    try:
        services.queue.send(Message(stage, written.tenant, written.id, written.generation), written.lane)
    except Transient:
        log.warning("no message sent; the sweep will", extra={"tenant": written.tenant, "document": written.id})


def requeued(record: Document, now: datetime, limits: Limits) -> Document:
    """The record with a new attempt. A worker on the attempt before is fenced, but may still write to the index until
    its lease ends. The failure of that attempt moves to the history."""
    return awaiting_message(
        replace(
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
            expires_at=None,
        ),
        now,
        limits,
    )


def awaiting_message(record: Document, now: datetime, limits: Limits) -> Document:
    """The record of a document whose message is about to be sent: the sweep looks whether it got lost, first after
    `Limits.resend_after` (I6)."""
    wait = limits.resend_after
    return replace(record, sweep_at=now + wait, resend_wait=int(wait.total_seconds()))
