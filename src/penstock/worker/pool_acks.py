"""Begun: what the pool's processes have begun, heard before the worker stops."""

from __future__ import annotations

import logging
from time import monotonic
from typing import Any

logger = logging.getLogger(__name__)

_PATIENCE = 5
"""Seconds. A process that has said nothing by then is stuck, and is ended with the worker."""


def collect_pool_acks(pool: Any) -> None:
    """Wait until each process has said of the task it was given that it began.

    Celery hears that in its loop, which is over when the worker stops; and then it forgets every task of which it has
    not heard. But such a task runs: its message would be handed back meanwhile, its end would be heard by nobody, and
    its process would wait half a minute for somebody to hear it.

    Args:
        pool: billiard's pool, as Celery's prefork pool has it.
    """
    end = monotonic() + _PATIENCE
    handler = pool._result_handler
    gone: list[int] = []
    while given := [process for process in _given(pool) if process.outqR_fd not in gone]:
        if monotonic() >= end:
            logger.warning("stopping: %d processes have not said whether they began their task", len(given))
            return
        for process in given:
            if process.outq._reader.poll(0.1):
                handler._flush_outqueue(process.outqR_fd, gone.append, handler.fileno_to_outq, handler.on_state_change)


def _given(pool: Any) -> list[Any]:
    """The processes that were sent a task of which they have not said that they began it."""
    jobs = list(pool._cache.values())
    return [job._write_to for job in jobs if job._write_to and not job._accepted and job._write_to._is_alive()]
