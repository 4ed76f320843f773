"""Run one message: take its lease, do the stage's work, and decide what becomes of the message."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta

from penstock.documents.cancel import stop_cancelled
from penstock.domain.errors import (
    AttemptsUsedUp,
    Cancelled,
    Fenced,
    Interrupted,
    Leased,
    NotYet,
    PenstockError,
    Permanent,
)
from penstock.domain.receipt import Failure
from penstock.domain.task import Message
from penstock.pipeline.next_stage import send_next_stage
from penstock.pipeline.stages import STAGES
from penstock.records.backoff import backoff
from penstock.records.claim import Checkpointed, Claim, StageDone
from penstock.services import Services
from penstock.telemetry.context import add_log_context

log = logging.getLogger(__name__)

_OUTAGE_ATTEMPTS = 5
"""The attempt whose back-off is used where the record could not be asked for its attempts: about as long as a service
takes to come back."""


@dataclass(frozen=True, slots=True)
class Done:
    """The message is deleted."""


@dataclass(frozen=True, slots=True)
class Redeliver:
    """The message becomes visible again after `delay`: the queue alone redelivers (I4)."""

    delay: timedelta
    why: str


Outcome = Done | Redeliver

KeepLease = Callable[[Services, Claim], AbstractContextManager[None]]
"""A context that renews the claim's lease while the work runs."""

Run = Callable[[Services, Message, KeepLease], Outcome]
"""The type of `run` and of what wraps it."""


def run(services: Services, message: Message, keep: KeepLease) -> Outcome:
    """Run one message. It never raises: an error is recorded with the document, and decides when the message comes
    again."""
    taken = _take(services, message)
    return _work(services, taken, keep) if isinstance(taken, Claim) else taken


def _take(services: Services, message: Message) -> Claim | Outcome:
    try:
        try:
            claim: Claim = STAGES[message.stage].take(services, message)
        except StageDone:
            send_next_stage(services, message)
        else:
            return claim
    except Leased as leased:
        # I7: this is not an error and no attempt. The message comes back when the lease ends, but after one lease's
        # length at most: the end was written by another's clock, which may be an hour ahead.
        delay = min(max(leased.until - services.clock(), timedelta(0)), services.limits.lease)
        return Redeliver(delay, str(leased))
    except Cancelled:
        return _cancelled(services, message)
    except Fenced:
        log.info("dropped: there is nothing left to do", extra=message.arguments())
    except Exception as error:  # noqa: BLE001 - I5: whatever it is, the message comes again
        return _redelivered_after_outage(services, message, error)
    return Done()


def _work(services: Services, claim: Claim, keep: KeepLease) -> Outcome:
    add_log_context(attempt=claim.attempts + 1)
    if _used_up(services, claim, claim.attempts):
        cause = "its worker was lost, or stopped answering"
        return _failed(services, claim, AttemptsUsedUp(attempts=claim.attempts, cause=cause))
    return _try(services, claim, keep)


def _try(services: Services, claim: Claim, keep: KeepLease) -> Outcome:
    try:
        with keep(services, claim):
            STAGES[claim.message.stage].work(services, claim)
    except Cancelled:
        return _cancelled(services, claim.message, claim)
    except Fenced:
        log.info("stopped: another came first", extra=claim.message.arguments())
    except Checkpointed as stopped:
        return Redeliver(timedelta(0), str(stopped))
    except Interrupted:
        return _released(services, claim)
    except NotYet as later:
        return _deferred(services, claim, later)
    except Exception as error:  # noqa: BLE001 - I5: its type decides
        return _failed(services, claim, error)
    return Done()


def _deferred(services: Services, claim: Claim, later: NotYet) -> Outcome:
    """Defer work that has to wait for a service. It is no attempt (I4). The longer the work has waited, the wider it is
    spread: many messages wait for the same moment, and a queue redelivers a message only so many times."""
    delay = timedelta(seconds=later.seconds) + backoff(services.limits, claim.deferrals + 1)
    try:
        claim.defer(services, delay, _failure(services, claim, later))
    except Exception as error:  # noqa: BLE001 - I5: whatever it is, the message comes again
        return _redelivered_after_outage(services, claim.message, error)
    return Redeliver(delay, str(later))


def _failed(services: Services, claim: Claim, error: Exception) -> Outcome:
    """I5: the exception's type decides whether the attempt has failed, or is tried again."""
    message = claim.message
    permanent = isinstance(error, Permanent) and STAGES[message.stage].gives_up
    if not isinstance(error, PenstockError):
        log.exception("a bug, tried again as if it were transient", extra=message.arguments())
    try:
        if not permanent:
            attempts = claim.attempts + 1
            delay = backoff(services.limits, attempts, getattr(error, "retry_after", None))
            claim.release_failed(services, _failure(services, claim, error), delay)
            if not _used_up(services, claim, attempts):
                log.warning("attempt %d failed, next in %s: %s", attempts, delay, error, extra=message.arguments())
                return Redeliver(delay, str(error))
            error = AttemptsUsedUp(attempts=attempts, cause=str(error))
        _give_up(services, claim, error)
    except Cancelled:
        return _cancelled(services, message, claim)
    except Fenced:
        if not permanent:
            # The lease was lost, or its stage was done and only what follows it failed: the next claim finds out.
            return _redelivered_after_outage(services, message, error)
        log.info("stopped: another came first", extra=message.arguments())
    except Exception as second:  # noqa: BLE001 - I5: whatever it is, the message comes again
        # The lease ends by itself, and the next claim counts this attempt.
        return _redelivered_after_outage(services, message, second)
    return Done()


def _give_up(services: Services, claim: Claim, error: Exception) -> None:
    """Fail the attempt for good. Where its tries are used up, an operator shall see the message too."""
    claim.fail(services, _failure(services, claim, error))
    log.warning("failed: %s", error, extra=claim.message.arguments())
    if isinstance(error, AttemptsUsedUp):
        services.queue.dead_letter(claim.message, str(error))


def _released(services: Services, claim: Claim) -> Redeliver:
    """I4: work that is released on purpose is no attempt, and the next worker need not wait for the lease to end."""
    try:
        claim.release(services)
    except Fenced:
        log.info("nothing to release: it was done, or another came first", extra=claim.message.arguments())
    except Exception as error:  # noqa: BLE001 - the lease ends by itself, and the next claim counts this attempt
        return _redelivered_after_outage(services, claim.message, error)
    return Redeliver(timedelta(0), "the worker ends")


def _cancelled(services: Services, message: Message, claim: Claim | None = None) -> Outcome:
    """Stop the work of a document whose cancel was requested. If that fails, the sweep completes the cancel."""
    log.info("stopped: it is cancelled", extra=message.arguments())
    try:
        stop_cancelled(services, message, claim)
    except Fenced:
        pass  # another has ended it
    except Exception as error:
        trace = not isinstance(error, PenstockError)
        log.warning("the sweep ends it: %s", error, exc_info=trace, extra=message.arguments())
    return Done()


def _used_up(services: Services, claim: Claim, attempts: int) -> bool:
    return attempts >= services.limits.attempts and STAGES[claim.message.stage].gives_up


def _redelivered_after_outage(services: Services, message: Message, error: Exception) -> Redeliver:
    """Redeliver a message whose record could not be read or written."""
    log.warning("could not go on: %s", error, exc_info=not isinstance(error, PenstockError), extra=message.arguments())
    delay = backoff(services.limits, _OUTAGE_ATTEMPTS, getattr(error, "retry_after", None))
    return Redeliver(delay, str(error))


def _failure(services: Services, claim: Claim, error: Exception) -> Failure:
    code, message = PenstockError.code, "Something went wrong inside Penstock; the worker's log has the trace."
    if isinstance(error, PenstockError):
        code, message = error.code, str(error)
    return Failure(code, message, attempt=claim.attempts + 1, at=services.clock())
