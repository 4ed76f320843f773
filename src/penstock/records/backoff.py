"""Back-off: how long a message waits before its work is tried again (I4)."""

from __future__ import annotations

import random
from datetime import timedelta

from penstock.services import Limits

_MOST_DOUBLINGS = 20
"""More would exceed any limit, and at last the range of a timedelta."""


def backoff(limits: Limits, attempts: int, retry_after: float | None = None) -> timedelta:
    """The time to wait after this many failed tries (1 or more).

    It is what the other side asked for in `retry_after`, in seconds, or else exponential with full jitter (Brooker,
    "Exponential Backoff and Jitter", AWS Architecture Blog), and never longer than `limits.longest_backoff`.
    """
    if retry_after is not None:
        return min(timedelta(seconds=retry_after), limits.longest_backoff)
    ceiling: timedelta = min(limits.longest_backoff, limits.backoff * 2 ** min(attempts - 1, _MOST_DOUBLINGS))
    return timedelta(seconds=random.uniform(0, ceiling.total_seconds()))  # noqa: S311 - spreads load
