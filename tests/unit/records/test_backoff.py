"""Back-off: full jitter under a ceiling that doubles (I4)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from penstock.records.backoff import backoff
from penstock.services import Limits

pytestmark = pytest.mark.invariant("I4")

LIMITS = Limits(backoff=timedelta(seconds=2), longest_backoff=timedelta(minutes=15))


@pytest.mark.parametrize(("attempts", "ceiling"), [(1, 2), (2, 4), (5, 32), (9, 512), (10, 900), (1000, 900)])
def test_a_wait_is_anywhere_below_a_ceiling_that_doubles(attempts: int, ceiling: int) -> None:
    waits = [backoff(LIMITS, attempts).total_seconds() for _ in range(400)]
    assert 0 <= min(waits) < ceiling * 0.1
    assert ceiling * 0.9 < max(waits) <= ceiling


def test_what_the_other_side_asks_for_is_kept_within_reason() -> None:
    assert backoff(LIMITS, 1, 7.5) == timedelta(seconds=7.5)
    assert backoff(LIMITS, 1, 86_400) == LIMITS.longest_backoff
