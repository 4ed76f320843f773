"""Requeue: give a record a new attempt, and send its message."""

from __future__ import annotations

import logging
from datetime import datetime

from penstock.domain.document import Document
from penstock.domain.errors import Transient
from penstock.domain.lease import Work
from penstock.domain.status import Status
from penstock.domain.task import Message, Stage
from penstock.services import Limits, Services

log = logging.getLogger(__name__)


def ask(services: Services, queued: Document) -> None:
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
        work=Work(record.work.epoch),
        stray=record.stray or record.build != 0,
        quiet=now + limits.lease if record.in_work else record.quiet,
        pages_read=0,
        pages=0,
        receipt=None,
        failure=None,
        history=record.remembered,
        cancel=False,
        removal=None,
        due=now + limits.resend,
        wait=int(limits.resend.total_seconds()),
        ends=None,
    )
