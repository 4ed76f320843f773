"""Waiting: poll tasks until each has a final state."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from penstock.cli.client import Api

FINAL_STATES = frozenset({"SUCCESS", "FAILURE", "REVOKED"})
_MIN_PAUSE, _MAX_PAUSE = 0.1, 2.0
"""The pause between two rounds of polling, in seconds. It is short at first and grows while nothing changes."""

Task = Mapping[str, Any]


def wait_for(
    api: Api, tasks: Collection[str], seconds: float, report: Callable[[str, Task], object]
) -> dict[str, Task]:
    """The last known state of each task, which is final unless the time was over before.

    Args:
        seconds: the maximum time to wait.
        report: is called with each task every time it was polled.
    """
    deadline = time.monotonic() + seconds
    last: dict[str, Task] = {}
    open_tasks, pause = list(tasks), _MIN_PAUSE
    while open_tasks:
        before = dict(last)
        for task in open_tasks:
            last[task] = api.task(task)
            report(task, last[task])
        open_tasks = [task for task in open_tasks if last[task]["state"] not in FINAL_STATES]
        left = deadline - time.monotonic()
        if not open_tasks or left <= 0:
            break
        pause = _MIN_PAUSE if last != before else min(pause * 1.5, _MAX_PAUSE)
        time.sleep(min(pause, left))
    return last
