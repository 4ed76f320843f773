"""Wait: poll tasks until each has come to its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from penstock.cli.client import Api

ENDED = frozenset({"SUCCESS", "FAILURE", "REVOKED"})
_SHORTEST, _LONGEST = 0.1, 2.0  # seconds between two rounds: soon at first, seldom where nothing moves

Task = Mapping[str, Any]


def wait_for(api: Api, tasks: Collection[str], seconds: float, seen: Callable[[str, Task], object]) -> dict[str, Task]:
    """Each task as it was seen last: at its end, unless so many seconds were over before."""
    deadline = time.monotonic() + seconds
    last: dict[str, Task] = {}
    open_tasks, pause = list(tasks), _SHORTEST
    while open_tasks:
        before = dict(last)
        for task in open_tasks:
            last[task] = api.task(task)
            seen(task, last[task])
        open_tasks = [task for task in open_tasks if last[task]["state"] not in ENDED]
        left = deadline - time.monotonic()
        if not open_tasks or left <= 0:
            break
        pause = _SHORTEST if last != before else min(pause * 1.5, _LONGEST)
        time.sleep(min(pause, left))
    return last
