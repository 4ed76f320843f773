"""The rate limiter: many calls for one write, one budget for many processes, and what one learns all learn."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from penstock.domain.errors import NotYet, Transient
from penstock.domain.provider_budget import BLOCKS, FIRST_SILENCE, SILENT_AFTER, UNLIMITED, Amount, ProviderBudget
from penstock.rate_limit.limiter import RateLimiter
from penstock.rate_limit.local_budget import LocalBudgetTable
from tests.support.world import FakeClock

LIMIT = Amount(500, 1_000_000)
SMALL = Amount(1, 100)


class CountedTable(LocalBudgetTable):
    def __init__(self) -> None:
        super().__init__()
        self.reads = self.writes = 0
        self.fail: Exception | None = None

    def read(self, model: str) -> ProviderBudget | None:
        self.reads += 1
        if self.fail:
            raise self.fail
        return super().read(model)

    def write(self, model: str, before: ProviderBudget | None, after: ProviderBudget) -> ProviderBudget:
        self.writes += 1
        if self.fail:
            raise self.fail
        return super().write(model, before, after)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def table() -> CountedTable:
    return CountedTable()


def process(table: LocalBudgetTable, clock: FakeClock, limit: Amount = LIMIT, **options: object) -> RateLimiter:
    return RateLimiter(table, "m", clock, limit=limit, **options)  # type: ignore[arg-type]


def entered(limiter: RateLimiter, need: Amount = SMALL) -> int:
    """The number of calls that were admitted before one had to wait."""
    for number in range(10_000):
        try:
            limiter.enter(need)
        except NotYet:
            return number
        limiter.answered()
    raise AssertionError("no end")


def test_a_block_is_one_write_however_many_calls_it_lets_through(table: CountedTable, clock: FakeClock) -> None:
    assert entered(process(table, clock)) == 500
    assert (table.writes, table.reads) == (BLOCKS, 1)


def test_what_is_known_to_be_used_up_costs_no_request_to_hear_again(table: CountedTable, clock: FakeClock) -> None:
    limiter = process(table, clock)
    entered(limiter)
    writes, reads = table.writes, table.reads
    assert [entered(limiter) for _ in range(20)] == [0] * 20
    assert (table.writes, table.reads) == (writes, reads)


def test_all_processes_together_keep_within_the_minute(table: CountedTable, clock: FakeClock) -> None:
    processes = [process(table, clock) for _ in range(8)]
    with ThreadPoolExecutor(8) as threads:
        counts = list(threads.map(entered, processes))
    assert sum(counts) == 500
    clock.pass_time(timedelta(minutes=1))
    assert sum(entered(each) for each in processes) == 500


def test_what_is_left_of_a_block_ends_with_its_minute(table: CountedTable, clock: FakeClock) -> None:
    """A block cannot be saved for later: the provider counts minutes."""
    limiter = process(table, clock)
    limiter.enter(SMALL)
    clock.pass_time(timedelta(minutes=1))
    assert entered(process(table, clock)) == 500
    assert entered(limiter) == 0


def test_tokens_that_were_not_used_are_there_for_the_next_call(table: CountedTable, clock: FakeClock) -> None:
    limiter = process(table, clock)
    for _ in range(20):
        limiter.enter(Amount(1, 100_000))
        limiter.answered(unused=60_000)
    assert entered(limiter, Amount(1, 100_000)) == 2, "20 of 40,000 were used of a million"


def test_tokens_beyond_what_was_taken_are_owed(table: CountedTable, clock: FakeClock) -> None:
    limiter = process(table, clock)
    limiter.enter(Amount(1, 400_000))
    limiter.answered(unused=-400_000)
    with pytest.raises(NotYet):
        limiter.enter(Amount(1, 300_000))


def test_what_one_finds_out_the_others_hear_with_their_next_block(table: CountedTable, clock: FakeClock) -> None:
    one, other = process(table, clock), process(table, clock)
    failures = []
    for _ in range(SILENT_AFTER):
        one.enter(SMALL)
        failures.append(type(one.failed("it is silent", None)))
    assert failures == [Transient] * (SILENT_AFTER - 1) + [NotYet]
    assert entered(other) == 0


def test_after_a_silence_one_asks_and_its_answer_opens_for_all(table: CountedTable, clock: FakeClock) -> None:
    one, other = process(table, clock), process(table, clock)
    for _ in range(SILENT_AFTER):
        one.enter(SMALL)
        one.failed("it is silent", None)
    clock.pass_time(FIRST_SILENCE)
    assert one.enter(SMALL) is True, "it has to find out first"
    assert entered(other) == 0
    one.answered()
    clock.pass_time(timedelta(minutes=1))
    assert one.enter(SMALL) is False
    assert other.enter(SMALL) is False


def test_what_the_provider_says_is_left_is_heeded_without_a_write(table: CountedTable, clock: FakeClock) -> None:
    limiter = process(table, clock)
    limiter.enter(SMALL)
    writes = table.writes
    limiter.answered(pause=6)
    with pytest.raises(NotYet) as wait:
        limiter.enter(SMALL)
    assert (wait.value.seconds, table.writes) == (6, writes)
    clock.pass_time(timedelta(seconds=6))
    assert limiter.enter(SMALL) is False


def test_a_question_is_asked_whatever_was_refused_before_but_not_while_the_provider_is_out(clock: FakeClock) -> None:
    questions = process(LocalBudgetTable(), clock, UNLIMITED, slows=False)
    questions.enter(SMALL)
    assert questions.refused("429", SMALL, 7).seconds == 7
    questions.answered(pause=60)
    assert questions.enter(SMALL) is False
    for _ in range(SILENT_AFTER):
        questions.failed("it is silent", None)
    with pytest.raises(NotYet):
        questions.enter(SMALL)


def test_a_table_that_does_not_answer_does_not_hide_what_the_provider_did(
    table: CountedTable, clock: FakeClock
) -> None:
    limiter = process(table, clock)
    limiter.enter(SMALL)
    table.fail = Transient(why="DynamoDB is down")
    assert "it is silent" in str(limiter.failed("it is silent", 3))
    assert limiter.refused("429", SMALL, 7).seconds == 7


def test_no_more_calls_run_at_once_than_are_allowed(clock: FakeClock) -> None:
    limiter = process(LocalBudgetTable(), clock, UNLIMITED, calls=2)
    both, end = threading.Barrier(3), threading.Event()

    def call() -> None:
        with limiter.turn(0):
            both.wait(30)
            end.wait(30)

    with ThreadPoolExecutor(2) as threads:
        running = [threads.submit(call) for _ in range(2)]
        both.wait(30)
        with pytest.raises(Transient, match="PENSTOCK_PROVIDER_CALLS"), limiter.turn(0):
            raise AssertionError("a third got in")
        end.set()
        for each in running:
            each.result(30)
    with limiter.turn(0):
        pass
