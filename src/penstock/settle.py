"""Settle: what becomes of a document whose message its queue gave up (I4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from penstock.claim import Claim, StageDone, fail, take_embed, take_extract, wait
from penstock.document import DocumentId, Failure, Status, TenantId
from penstock.errors import Fenced, GivenUp, Leased
from penstock.ports import Services
from penstock.task import Message, Stage

_TAKE: Mapping[Stage, Callable[[Services, Message], Claim]] = MappingProxyType(
    {Stage.EXTRACT: take_extract, Stage.EMBED: take_embed}
)


class Settled(StrEnum):
    """What became of it."""

    FAILED = "failed"
    """The document is: by this letter, or by the last of its attempts, which sent it."""
    STALE = "stale"
    """The letter is old news: its stage is done, somebody works on it, or nobody wants it any more."""
    ASKED_AGAIN = "asked_again"


def settle(services: Services, message: Message, reason: str, *, sent: datetime | None = None) -> Settled:
    """Fail the attempt, if its stage is unfinished and no lease lives: that is, if it can be claimed. A removal is
    asked for again: somebody wants the document gone; and so is what had to wait.

    Args:
        sent: when the letter was; one that is older than the newest attempt says nothing of that.

    Raises:
        Transient: a service did not answer; to be done again.
    """
    if message.stage is Stage.DELETE:
        return _asked_again(services, message)
    record = services.documents.read(TenantId(message.tenant), DocumentId(message.document))
    if record is None or record.generation != message.generation or (sent is not None and sent < record.accepted):
        return Settled.STALE
    if record.status is Status.FAILED:
        return Settled.FAILED
    try:
        claim = _TAKE[message.stage](services, message)
        if claim.waits:
            return _waits_on(services, claim)
        error = GivenUp(reason=reason)
        fail(services, claim, Failure(error.code, str(error), attempt=claim.attempts + 1, at=services.clock()))
    except (Leased, StageDone, Fenced):
        return Settled.STALE
    return Settled.FAILED


def _waits_on(services: Services, claim: Claim) -> Settled:
    """Its queue gave it up for being received so often; it only waited, and waiting is never judged dead."""
    delay = services.limits.longest_backoff
    services.queue.send(claim.message, claim.document.lane, delay=delay)
    wait(services, claim, delay)
    return Settled.ASKED_AGAIN


def _asked_again(services: Services, message: Message) -> Settled:
    record = services.documents.read(TenantId(message.tenant), DocumentId(message.document))
    if record is None or record.generation != message.generation or record.status is not Status.DELETING:
        return Settled.STALE
    services.queue.send(message, record.lane, delay=services.limits.longest_backoff)
    return Settled.ASKED_AGAIN
