"""Shutdown: how the task in a pool process learns that its time limit is over, or that its worker ends."""

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

_RELEASE_SECONDS = 5.0
"""The part of a worker's stop time, in seconds, that is kept for releasing leases and returning messages. It is at most
half of the stop time."""


class Shutdown:
    """The shutdown of a worker, as a pool process sees it. After SIGTERM the task stops at its next checkpoint. If it
    has reached none after the grace period, it is interrupted."""

    def __init__(self, grace_period: float) -> None:
        """`grace_period`: the time between SIGTERM and the interruption, in seconds."""
        self._grace_period = grace_period
        self._started = False
        self._grace_over = False
        self._interruptible = False

    def install_signal_handlers(self) -> None:
        """Handle SIGTERM from now on. To be called in the main thread of a pool process, with its first task: any
        sooner, and billiard would replace these handlers by its own."""
        signal.signal(signal.SIGALRM, self._interrupt)
        signal.signal(signal.SIGTERM, self._start)

    @property
    def started(self) -> bool:
        return self._started

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Let the grace period interrupt what is done in this context.

        Raises:
            Interrupted: the grace period is over.
        """
        self._interruptible = True
        try:
            if self._grace_over:
                raise Interrupted
            yield
        finally:
            self._interruptible = False

    def _start(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if not self._started:
            self._started = True
            signal.setitimer(signal.ITIMER_REAL, max(self._grace_period, 0.001))

    def _interrupt(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self._grace_over = True
        if self._interruptible:
            self._interruptible = False
            raise Interrupted


def with_time_limits(run: Run, soft_time_limit: Callable[[Stage], float], stop: float) -> Run:
    """Wrap `run` so that a task stops at a checkpoint when its soft time limit is over, or when the worker ends.

    The limit is not Celery's own, whose exception would end a task at any place, with all that it holds.

    Args:
        run: the function that runs a stage.
        soft_time_limit: the limit of each stage, in seconds.
        stop: the time that the worker may take to end, in seconds.
    """
    shutdown = Shutdown(max(stop - _RELEASE_SECONDS, stop / 2))

    def limited(services: Services, message: Message, keep: KeepLease) -> Outcome:
        @contextmanager
        def keep_interruptible(services: Services, claim: Claim) -> Iterator[None]:
            with keep(services, claim), shutdown.interruptible():
                yield

        shutdown.install_signal_handlers()
        stop_request = _stop_request(shutdown, soft_time_limit(message.stage))
        return run(replace(services, stop_request=stop_request), message, keep_interruptible)

    return limited


def _stop_request(shutdown: Shutdown, limit: float) -> Callable[[], StopRequest | None]:
    deadline = monotonic() + limit
    over_limit = StopRequest(f"{limit:g} seconds (PENSTOCK_TASK_SOFT_TIME_LIMIT)", "Raise the limit")

    def stop_request() -> StopRequest | None:
        if shutdown.started:
            return StopRequest()
        return over_limit if monotonic() >= deadline else None

    return stop_request
