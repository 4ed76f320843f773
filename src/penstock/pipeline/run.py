"""Run one message: claim, do the stage's work, and say what shall become of the message."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType

from penstock.documents.archive_members import remove_with_members
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
from penstock.domain.task import Message, Stage
from penstock.pipeline.embed import embed
from penstock.pipeline.extract import extract
from penstock.pipeline.next_stage import send_next_stage
from penstock.records.backoff import backoff
from penstock.records.leases import (
    Checkpointed,
    Claim,
    StageDone,
    defer,
    fail,
    release,
    release_failed,
    take_delete,
    take_embed,
    take_extract,
)
from penstock.services import Services
from penstock.telemetry.context import add_log_context

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Done:
    """Delete the message."""


@dataclass(frozen=True, slots=True)
class Redeliver:
    """Make the message visible again after `delay`: the queue alone redelivers (I4)."""

    delay: timedelta
    why: str


Outcome = Done | Redeliver

KeepLease = Callable[[Services, Claim], AbstractContextManager[None]]
"""Renews the claim's lease while the work runs."""

Run = Callable[[Services, Message, KeepLease], Outcome]
"""`run`, or what stands in its place."""


@dataclass(frozen=True, slots=True)
class StageRule:
    """How a stage's work is claimed and done."""

    take: Callable[[Services, Message], Claim]
    work: Callable[[Services, Claim], None]


STAGES: Mapping[Stage, StageRule] = MappingProxyType(
    {
        Stage.EXTRACT: StageRule(take_extract, extract),
        Stage.EMBED: StageRule(take_embed, embed),
        Stage.DELETE: StageRule(take_delete, remove_with_members),
    }
)


def run(services: Services, message: Message, keep: KeepLease) -> Outcome:
    """Never raises: what goes wrong is recorded with the document, and decides when the message comes again."""
    taken = _take(services, message)
    return _work(services, taken, keep) if isinstance(taken, Claim) else taken


def _take(services: Services, message: Message) -> Claim | Outcome:
    try:
        try:
            return STAGES[message.stage].take(services, message)
        except StageDone:
            send_next_stage(services, message)
    except Leased as held:
        # I7: not an error and no attempt; the message comes back when the lease ends. By another's clock: were that an
        # hour ahead, it would be away for an hour, so after a lease's length it is looked at again.
        delay = min(max(held.until - services.clock(), timedelta(0)), services.limits.lease)
        return Redeliver(delay, str(held))
    except Cancelled:
        return _cancelled(services, message)
    except Fenced:
        log.info("dropped: there is nothing left to do", extra=message.arguments())
    except Exception as error:  # noqa: BLE001 - I5: whatever it is, the message comes again
        return _unclaimed(services, message, error)
    return Done()


def _work(services: Services, claim: Claim, keep: KeepLease) -> Outcome:
    add_log_context(attempt=claim.attempts + 1)
    if _used_up(services, claim, claim.attempts):
        cause = "its worker was lost, or stopped answering"
        return _failed(services, claim, AttemptsUsedUp(attempts=claim.attempts, cause=cause))
    return _tried(services, claim, keep)


def _tried(services: Services, claim: Claim, keep: KeepLease) -> Outcome:
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
        return _waits(services, claim, later)
    except Exception as error:  # noqa: BLE001 - I5: its type decides
        return _failed(services, claim, error)
    return Done()


def _waits(services: Services, claim: Claim, later: NotYet) -> Outcome:
    """No attempt (I4). The longer it has waited, the wider it is spread: many wait for the same moment, and its queue
    may receive it so often only."""
    delay = timedelta(seconds=later.seconds) + backoff(services.limits, claim.deferrals + 1)
    try:
        defer(services, claim, delay, _failure(services, claim, later))
    except Exception as error:  # noqa: BLE001 - I5: whatever it is, the message comes again
        return _unclaimed(services, claim.message, error)
    return Redeliver(delay, str(later))


def _failed(services: Services, claim: Claim, error: Exception) -> Outcome:
    """I5: the exception's type decides. A removal never fails for good: somebody wants the document gone."""
    message = claim.message
    for_good = isinstance(error, Permanent) and message.stage is not Stage.DELETE
    if not isinstance(error, PenstockError):
        log.exception("a bug, tried again as if it were transient", extra=message.arguments())
    try:
        if not for_good:
            attempts = claim.attempts + 1
            delay = backoff(services.limits, attempts, getattr(error, "retry_after", None))
            release_failed(services, claim, _failure(services, claim, error), delay)
            if not _used_up(services, claim, attempts):
                log.warning("attempt %d failed, next in %s: %s", attempts, delay, error, extra=message.arguments())
                return Redeliver(delay, str(error))
            error = AttemptsUsedUp(attempts=attempts, cause=str(error))
        fail(services, claim, _failure(services, claim, error))
        log.warning("failed: %s", error, extra=message.arguments())
        if isinstance(error, AttemptsUsedUp):
            services.queue.dead_letter(message, str(error))
    except Cancelled:
        return _cancelled(services, message, claim)
    except Fenced:
        if not for_good:
            # The lease was lost, or its stage was done and only what follows it failed: the next claim finds out.
            return _unclaimed(services, message, error)
        log.info("stopped: another came first", extra=message.arguments())
    except Exception as second:  # noqa: BLE001 - I5: whatever it is, the message comes again
        # The lease ends by itself, and whoever claims next counts this attempt.
        return _unclaimed(services, message, second)
    return Done()


def _released(services: Services, claim: Claim) -> Redeliver:
    """I4: what is handed back on purpose is no attempt, and the next worker need not wait for its lease to end."""
    try:
        release(services, claim)
    except Fenced:
        log.info("nothing to put down: it was done, or another came first", extra=claim.message.arguments())
    except Exception as error:  # noqa: BLE001 - the lease ends by itself, and whoever claims next counts this attempt
        return _unclaimed(services, claim.message, error)
    return Redeliver(timedelta(0), "the worker ends")


def _cancelled(services: Services, message: Message, claim: Claim | None = None) -> Outcome:
    """Whatever goes wrong here, the cancel is asked for, and the sweep brings it to its end."""
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
    return attempts >= services.limits.attempts and claim.message.stage is not Stage.DELETE


def _unclaimed(services: Services, message: Message, error: Exception) -> Redeliver:
    """Without a record to ask for its attempts, wait about as long as a service takes to come back."""
    log.warning("could not go on: %s", error, exc_info=not isinstance(error, PenstockError), extra=message.arguments())
    return Redeliver(backoff(services.limits, 5, getattr(error, "retry_after", None)), str(error))


def _failure(services: Services, claim: Claim, error: Exception) -> Failure:
    code, message = PenstockError.code, "Something went wrong inside Penstock; the worker's log has the trace."
    if isinstance(error, PenstockError):
        code, message = error.code, str(error)
    return Failure(code, message, attempt=claim.attempts + 1, at=services.clock())
