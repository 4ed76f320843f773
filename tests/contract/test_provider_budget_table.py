"""What every ProviderBudgetTable promises."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from penstock.domain.errors import Conflict, NotYet
from penstock.domain.provider_budget import Amount, ProviderBudget
from penstock.ports import ProviderBudgetTable
from penstock.rate_limit.limiter import RateLimiter
from tests.support.world import FakeClock

FULL = ProviderBudget(
    minute=29_000_000,
    spent=Amount(3, 4000.5),
    spent_last_minute=Amount(5, 6000),
    known=Amount(7, 8000),
    level=45,
    slowed=28_999_999,
    until_slowed=Amount(1, 2000),
    failures=4,
    closed=datetime(2026, 1, 1, 12, 30, 0, 125_000, UTC),
    probing=True,
)


@pytest.fixture
def model() -> str:
    return f"text-embedding/{uuid4().hex}"


def test_a_budget_is_read_as_it_was_written(budgets: ProviderBudgetTable, model: str) -> None:
    assert budgets.read(model) is None
    written = budgets.write(model, None, FULL)
    assert written == replace(FULL, revision=1)
    assert budgets.read(model) == written
    emptied = budgets.write(model, written, ProviderBudget())
    assert budgets.read(model) == emptied == ProviderBudget(revision=2)


@pytest.mark.invariant("I2")
def test_of_two_that_believe_in_the_same_budget_one_writes(budgets: ProviderBudgetTable, model: str) -> None:
    """I2: one conditional write, and the loser reads again."""
    budgets.write(model, None, FULL)
    with pytest.raises(Conflict):
        budgets.write(model, None, FULL)
    before = budgets.read(model)
    after = budgets.write(model, before, replace(FULL, level=90))
    with pytest.raises(Conflict):
        budgets.write(model, before, replace(FULL, level=10))
    assert budgets.read(model) == after


def test_models_have_budgets_of_their_own(budgets: ProviderBudgetTable, model: str) -> None:
    budgets.write(model, None, FULL)
    assert budgets.read(f"{model}-large") is None


def test_processes_that_lease_at_once_keep_within_one_budget(budgets: ProviderBudgetTable, model: str) -> None:
    clock = FakeClock()
    limiters = [RateLimiter(budgets, model, clock, limit=Amount(200, 1_000_000)) for _ in range(6)]

    def calls(limiter: RateLimiter) -> int:
        for number in range(1000):
            try:
                limiter.acquire(Amount(1, 10))
            except NotYet:
                return number
        raise AssertionError("no end")

    with ThreadPoolExecutor(6) as threads:
        assert sum(threads.map(calls, limiters)) == 200
    held = budgets.read(model)
    assert held is not None
    assert held.spent.requests == 200
