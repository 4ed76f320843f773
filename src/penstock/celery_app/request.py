"""The parent process's side of a task: what becomes of its message when the pool process is done with it."""

from __future__ import annotations

from typing import Any

from billiard.einfo import ExceptionWithTraceback  # type: ignore[attr-defined]  # the stubs lack it
from celery.exceptions import Reject
from celery.worker import request
from celery.worker.state import task_ready

_KILL_SECONDS = 60
"""A process is gone at the latest this long, in seconds, after the hard limit of its task."""


class RedeliverAfter(Reject):
    """The task asks for the redelivery of its message after a delay.

    It crosses the pool as an exception: the message is in the hands of the parent process, and a result means success.
    It is a `Reject`, so that a stock worker would not delete the message either.
    """

    def __init__(self, delay: float, why: str) -> None:
        """`delay` is in seconds."""
        super().__init__(why, requeue=False)
        self.delay = delay
        self.why = why

    def __reduce__(self) -> tuple[type[RedeliverAfter], tuple[float, str]]:
        return type(self), (self.delay, self.why)


class Request(request.Request):
    """A task whose message can be returned with a delay of the task's own, and is held for its time limit only."""

    def on_accepted(self, pid: Any, time_accepted: float) -> None:
        limit: Any = self.task.time_limit
        self.message.channel.heartbeat.task_started(self.message.delivery_tag, limit + _KILL_SECONDS)
        super().on_accepted(pid, time_accepted)

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> None:
        error = exc_info.exception
        if isinstance(error, ExceptionWithTraceback):
            error = error.exc
        if not isinstance(error, RedeliverAfter):
            super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)
            return
        task_ready(self)
        self.acknowledged = True
        self.message.channel.return_message(self.message.delivery_tag, error.delay)
