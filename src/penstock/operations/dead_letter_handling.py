"""Dead-letter handling: decide what a message that its queue gave up means for its document (I4)."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from penstock.domain.errors import Fenced, GivenUp, Leased
from penstock.domain.ids import DocumentId, TenantId
from penstock.domain.receipt import Failure
from penstock.domain.status import Status
from penstock.domain.task import Message
from penstock.pipeline.stages import STAGES
from penstock.records.claim import Claim, StageDone
from penstock.services import Services


class Settled(StrEnum):
    """What became of the work that a dead letter asks for. The value is stored with the letter."""

    FAILED = "failed"
    """The document failed: now, or before by the attempt that sent the letter."""
    STALE = "stale"
    """The letter is out of date: its stage is done, another worker holds it, or the work is no longer wanted."""
    ASKED_AGAIN = "asked_again"
    """The message was sent again."""


def settle(services: Services, message: Message, reason: str, *, sent: datetime | None = None) -> Settled:
    """Fail the attempt if its stage can be claimed: it is unfinished, and no lease on it is alive. Two kinds of message
    are sent again instead: removals, because the document must not stay, and messages that were only deferred.

    Args:
        sent: when the message was sent. One that is older than the newest attempt says nothing about it.

    Raises:
        Transient: a service did not answer; the letter has to be settled again later.
    """
    if not STAGES[message.stage].gives_up:
        return _resend_removal(services, message)
    record = services.documents.read(TenantId(message.tenant), DocumentId(message.document))
    if record is None or record.generation != message.generation or (sent is not None and sent < record.accepted):
        return Settled.STALE
    if record.status is Status.FAILED:
        return Settled.FAILED
    try:
        claim: Claim = STAGES[message.stage].take(services, message)
        if claim.deferrals:
            return _resend_deferred(services, claim)
        error = GivenUp(reason=reason)
        claim.fail(services, Failure(error.code, str(error), attempt=claim.attempts + 1, at=services.clock()))
    except (Leased, StageDone, Fenced):
        return Settled.STALE
    return Settled.FAILED


def _resend_deferred(services: Services, claim: Claim) -> Settled:
    """The queue gave the message up because it was received too often. But it was only deferred, and waiting is never
    judged as a failure."""
    delay = services.limits.longest_backoff
    services.queue.send(claim.message, claim.document.lane, delay=delay)
    claim.defer(services, delay)
    return Settled.ASKED_AGAIN


def _resend_removal(services: Services, message: Message) -> Settled:
    record = services.documents.read(TenantId(message.tenant), DocumentId(message.document))
    if record is None or record.generation != message.generation or record.status is not Status.DELETING:
        return Settled.STALE
    services.queue.send(message, record.lane, delay=services.limits.longest_backoff)
    return Settled.ASKED_AGAIN
