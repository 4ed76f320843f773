"""Which tasks the processes of the pool have started, collected before the worker stops."""

from __future__ import annotations

import logging
from time import monotonic
from typing import Any

logger = logging.getLogger(__name__)

_TIMEOUT = 5
"""The time, in seconds, within which each process acknowledges its task. A process that does not is stuck, and is ended
with the worker."""


def collect_pool_acks(pool: Any) -> None:
    """Wait until each process has acknowledged the task that it was sent.

    Celery reads these acknowledgements in its event loop, which is over when the worker stops; then it forgets every
    task without one. But such a task runs: its message would be returned meanwhile, nobody would read its result, and
    its process would wait half a minute for a reader.

    Args:
        pool: billiard's pool, which Celery's prefork pool holds.
    """
    deadline = monotonic() + _TIMEOUT
    handler = pool._result_handler
    closed: list[int] = []
    while silent := [process for process in _unacknowledged(pool) if process.outqR_fd not in closed]:
        if monotonic() >= deadline:
            logger.warning("stopping: %d processes have not acknowledged their tasks", len(silent))
            return
        for process in silent:
            if process.outq._reader.poll(0.1):
                handler._flush_outqueue(
                    process.outqR_fd, closed.append, handler.fileno_to_outq, handler.on_state_change
                )


def _unacknowledged(pool: Any) -> list[Any]:
    """The living processes that were sent a task and have not acknowledged it."""
    jobs = list(pool._cache.values())
    return [job._write_to for job in jobs if job._write_to and not job._accepted and job._write_to._is_alive()]
