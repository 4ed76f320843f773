"""The parent's side of a task: what becomes of its message when the pool process is done with it."""

from __future__ import annotations

from typing import Any

from billiard.einfo import ExceptionWithTraceback  # type: ignore[attr-defined]  # the stubs lack it
from celery.exceptions import Reject
from celery.worker import request
from celery.worker.state import task_ready

_TO_DIE = 60
"""Seconds after its hard limit within which a process is gone."""


class RedeliverAfter(Reject):
    """The task wants its message back after a delay. It crosses the pool as an exception, because a result cannot say
    so, and the pool process has no hold of the message. A Reject, so that a stock worker would not delete it either."""

    def __init__(self, delay: float, why: str) -> None:
        """`delay`: seconds."""
        super().__init__(why, requeue=False)
        self.delay = delay
        self.why = why

    def __reduce__(self) -> tuple[type[RedeliverAfter], tuple[float, str]]:
        return type(self), (self.delay, self.why)


class Request(request.Request):
    """A task whose message can be handed back with a delay of its own, and is held for its time limit only."""

    def on_accepted(self, pid: Any, time_accepted: float) -> None:
        limit: Any = self.task.time_limit
        self.message.channel.heartbeat.begin(self.message.delivery_tag, limit + _TO_DIE)
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
