"""Halting: how the work in a pool process learns that its time is over, or that its worker ends."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from time import monotonic
from types import FrameType

from penstock.domain.errors import Interrupted
from penstock.domain.task import Message, Stage
from penstock.pipeline.run import KeepLease, Outcome, Run
from penstock.records.claim import Claim
from penstock.services import Services, StopRequest

_GIVING_BACK = 5.0
"""Seconds, of those that a worker takes to end, for giving back leases and messages; but at most half of them."""


class Shutdown:
    """SIGTERM says that the worker ends: the task stops at its next checkpoint, and is interrupted where it has found
    none after so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._begun = False
        self._late = False
        self._interruptible = False

    def heed(self) -> None:
        """From here on. For the main thread of a pool process with its first task: any sooner, and billiard would put
        its own handler in the place of this."""
        signal.signal(signal.SIGALRM, self._interrupt)
        signal.signal(signal.SIGTERM, self._begin)

    @property
    def begun(self) -> bool:
        return self._begun

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """
        Raises:
            Interrupted: in whatever is done in this context, once it is late.
        """
        self._interruptible = True
        try:
            if self._late:
                raise Interrupted
            yield
        finally:
            self._interruptible = False

    def _begin(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if not self._begun:
            self._begun = True
            signal.setitimer(signal.ITIMER_REAL, max(self._seconds, 0.001))

    def _interrupt(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self._late = True
        if self._interruptible:
            self._interruptible = False
            raise Interrupted


def bounded(run: Run, soft_time_limit: Callable[[Stage], float], stop: float) -> Run:
    """The same, but it hands back what takes longer than its stage's limit, and whatever it does when the worker ends.
    The limit is not Celery's own, whose exception would end a task at any place, with all that it holds.

    Args:
        soft_time_limit: seconds.
        stop: seconds that the worker takes to end; see `Shutdown`.
    """
    shutdown = Shutdown(max(stop - _GIVING_BACK, stop / 2))

    def in_time(services: Services, message: Message, keep: KeepLease) -> Outcome:
        @contextmanager
        def kept(services: Services, claim: Claim) -> Iterator[None]:
            with keep(services, claim), shutdown.interruptible():
                yield

        shutdown.heed()
        stop_request = _stop_request(shutdown, soft_time_limit(message.stage))
        return run(replace(services, stop_request=stop_request), message, kept)

    return in_time


def _stop_request(shutdown: Shutdown, limit: float) -> Callable[[], StopRequest | None]:
    end = monotonic() + limit
    over = StopRequest(f"{limit:g} seconds (PENSTOCK_TASK_SOFT_TIME_LIMIT)", "Raise the limit")

    def stop_request() -> StopRequest | None:
        if shutdown.begun:
            return StopRequest()
        return over if monotonic() >= end else None

    return stop_request
