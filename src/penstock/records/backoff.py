"""Back-off: how long a message waits before it is tried again (I4)."""

from __future__ import annotations

import random
from datetime import timedelta

from penstock.services import Limits


def backoff(limits: Limits, attempts: int, retry_after: float | None = None) -> timedelta:
    """After so many failed tries, at least 1: what the other side asked for or else exponential with full jitter
    (Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog)."""
    if retry_after is not None:
        return min(timedelta(seconds=retry_after), limits.longest_backoff)
    ceiling: timedelta = min(limits.longest_backoff, limits.backoff * 2 ** min(attempts - 1, 20))
    return timedelta(seconds=random.uniform(0, ceiling.total_seconds()))  # noqa: S311 - spreads load
