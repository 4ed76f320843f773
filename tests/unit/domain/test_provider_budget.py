"""The provider's budget: what is left of a minute, how a refusal slows down, and when a silent provider is asked
again."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest

from penstock.domain.errors import NotYet
from penstock.domain.provider_budget import (
    BLOCKS,
    FIRST_SILENCE,
    LEAST,
    LONGEST_PAUSE,
    LONGEST_SILENCE,
    PLAIN,
    PROBE,
    SILENT_AFTER,
    UNLIMITED,
    Amount,
    ProviderBudget,
)

NOW = datetime(2026, 1, 1, 12, 0, 10, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
LIMIT = Amount(500, 100_000)
ONE = Amount(1, 100)


def refused(pace: ProviderBudget, at: datetime = NOW, limit: Amount = LIMIT) -> ProviderBudget:
    return pace.refused(at, 0, ONE, limit)


def silent(at: datetime = NOW) -> ProviderBudget:
    pace = ProviderBudget()
    for _ in range(SILENT_AFTER):
        pace = pace.failed(at)
    return pace


def spend(pace: ProviderBudget, at: datetime, limit: Amount = LIMIT) -> tuple[ProviderBudget, Amount]:
    """Lease blocks of this minute until none is left. Returns their sum."""
    total = Amount()
    while True:
        try:
            pace, block = pace.leased(at, ONE, limit)
        except NotYet:
            return pace, total
        total += block


# The budget


def test_a_block_is_a_part_of_the_minute_and_at_least_what_is_needed() -> None:
    assert ProviderBudget().leased(NOW, ONE, LIMIT)[1] == LIMIT.times(1 / BLOCKS)
    assert ProviderBudget().leased(NOW, Amount(1, 50_000), LIMIT)[1] == Amount(10, 50_000)


def test_all_blocks_of_a_minute_are_its_budget_and_no_more() -> None:
    pace, total = spend(ProviderBudget(), NOW)
    assert total == LIMIT
    with pytest.raises(NotYet) as wait:
        pace.leased(NOW, ONE, LIMIT)
    assert wait.value.seconds == 50, "at the minute's end"
    assert spend(pace, NOW + timedelta(seconds=50))[1] == LIMIT


def test_tokens_are_used_up_like_requests() -> None:
    pace, _ = ProviderBudget().leased(NOW, Amount(1, 99_000), LIMIT)
    with pytest.raises(NotYet):
        pace.leased(NOW, Amount(1, 2000), LIMIT)
    assert pace.leased(NOW, Amount(1, 1000), LIMIT)[1].tokens == 1000


def test_a_minute_of_which_nothing_is_spent_lets_anything_through() -> None:
    """Otherwise a request that needs more than the budget of a minute would wait for ever."""
    too_much = Amount(1, 200_000)
    pace, block = ProviderBudget().leased(NOW, too_much, LIMIT)
    assert block.tokens == 200_000
    with pytest.raises(NotYet):
        pace.leased(NOW, ONE, LIMIT)


def test_without_a_budget_exactly_what_is_needed_is_counted() -> None:
    pace, block = ProviderBudget().leased(NOW, ONE, UNLIMITED)
    assert (block, pace.spent) == (ONE, ONE)


@pytest.mark.parametrize("wrong", [timedelta(hours=1), -timedelta(hours=1)], ids=str)
def test_nobody_waits_for_a_clock_that_is_an_hour_off(wrong: timedelta) -> None:
    theirs, _ = spend(ProviderBudget(), NOW + wrong)
    assert spend(theirs, NOW)[1] == LIMIT
    closed = ProviderBudget().refused(NOW + wrong, 30, ONE, LIMIT)
    assert closed.leased(NOW, ONE, LIMIT)[0].spent.requests


def test_a_clock_that_is_some_seconds_behind_takes_of_the_minute_that_has_started() -> None:
    pace, _ = spend(ProviderBudget(), NOW)
    with pytest.raises(NotYet):
        pace.leased(NOW - timedelta(seconds=15), ONE, LIMIT)


# What the provider refuses


def test_a_refusal_halves_what_is_sent_and_each_quiet_minute_adds_a_tenth() -> None:
    pace, _ = spend(ProviderBudget(), NOW)
    pace = refused(pace)
    allowed = []
    for minute in range(1, 8):
        pace, total = spend(pace, NOW + minute * MINUTE)
        allowed.append(total.requests)
    assert allowed == [250, 300, 350, 400, 450, 500, 500]


def test_refusals_of_calls_in_flight_together_are_one_sign() -> None:
    pace, _ = spend(ProviderBudget(), NOW)
    pace = refused(refused(refused(pace)))
    assert pace.level == 50
    later = NOW + MINUTE
    pace = refused(spend(pace, later)[0], later)
    assert pace.level == 25, "one in the next minute is another"


def test_without_a_budget_half_of_what_was_sent_is_sent_on() -> None:
    pace = ProviderBudget()
    for _ in range(60):
        pace, _ = pace.leased(NOW, ONE, UNLIMITED)
    pace = refused(pace, limit=UNLIMITED)
    pace, total = spend(pace, NOW + MINUTE, UNLIMITED)
    assert total == Amount(30, 3000)
    assert refused(ProviderBudget(), limit=UNLIMITED).allowed(UNLIMITED).requests == LEAST / 2, (
        "of one that has just started"
    )
    for minute in range(2, 7):
        pace, _ = pace.leased(NOW + minute * MINUTE, ONE, UNLIMITED)
    assert pace.allowed(UNLIMITED) == UNLIMITED


def test_after_the_pause_half_as_much_is_sent_at_once_and_not_from_the_next_minute_on() -> None:
    """Otherwise a pause of a second after many requests would last a minute."""
    pace = ProviderBudget()
    for _ in range(80):
        pace, _ = pace.leased(NOW, ONE, UNLIMITED)
    later = NOW + timedelta(seconds=2)
    assert spend(refused(pace, limit=UNLIMITED), later, UNLIMITED)[1].requests == 40
    pace, _ = spend(ProviderBudget(), NOW)
    with pytest.raises(NotYet):
        refused(pace).leased(later, ONE, LIMIT)  # the budget is used up all the same


def test_however_much_is_refused_one_request_a_minute_goes_on() -> None:
    pace = ProviderBudget()
    for minute in range(20):
        at = NOW + minute * MINUTE
        pace, block = pace.leased(at, ONE, LIMIT)
        assert block.requests >= 1
        pace = refused(pace, at)


def test_the_pause_that_the_provider_asks_for_is_kept_and_bounded() -> None:
    pace = ProviderBudget().refused(NOW, 30, ONE, LIMIT)
    assert pace.rest(NOW) == 30
    assert pace.refused(NOW, 3, ONE, LIMIT).rest(NOW) == 30, "a shorter one does not end it"
    with pytest.raises(NotYet) as wait:
        pace.leased(NOW + timedelta(seconds=10), ONE, LIMIT)
    assert wait.value.seconds == 20
    assert ProviderBudget().refused(NOW, 1e9, ONE, LIMIT).rest(NOW) == LONGEST_PAUSE.total_seconds()


# What it does not answer


def test_some_failures_in_a_row_close_it_and_an_answer_between_them_does_not() -> None:
    pace = ProviderBudget().failed(NOW).failed(NOW).answered().failed(NOW).failed(NOW)
    assert (pace.silent, pace.rest(NOW)) == (False, 0)
    pace = pace.failed(NOW)
    assert (pace.silent, pace.rest(NOW)) == (True, FIRST_SILENCE.total_seconds())


def test_calls_that_were_in_flight_when_it_closed_do_not_lengthen_the_silence() -> None:
    assert silent().failed(NOW).failed(NOW) == silent()


def test_one_finds_out_and_the_others_wait_for_what_comes_of_it() -> None:
    at = NOW + FIRST_SILENCE
    pace, _ = silent().leased(at, ONE, LIMIT)
    with pytest.raises(NotYet) as wait:
        pace.leased(at, ONE, LIMIT)
    assert wait.value.seconds == PROBE.total_seconds()
    assert pace.answered().leased(at, ONE, LIMIT)[0].silent is False
    other, _ = pace.leased(at + PROBE, ONE, LIMIT)
    assert other.probing, "whoever found out and died is not waited for any longer"


def test_a_probe_is_paid_for_out_of_the_budget_too() -> None:
    at = NOW + FIRST_SILENCE
    pace, block = silent().leased(at, ONE, LIMIT)
    assert (block, pace.spent) == (ONE, ONE + PLAIN)
    limit = Amount(2, 1000)
    pace, _ = ProviderBudget().leased(at, ONE, limit)
    for _ in range(SILENT_AFTER):
        pace = pace.failed(NOW)
    with pytest.raises(NotYet, match="budget"):
        pace.leased(at, ONE, limit)


def test_each_probe_that_fails_doubles_the_silence_up_to_an_end() -> None:
    pace, at, silences = silent(), NOW, []
    for _ in range(8):
        at += timedelta(seconds=pace.rest(at))
        pace, _ = pace.leased(at, ONE, LIMIT)
        pace = pace.failed(at)
        silences.append(pace.rest(at))
    assert silences[:3] == [30, 60, 120]
    assert silences[-1] == LONGEST_SILENCE.total_seconds()


def test_a_refusal_is_an_answer() -> None:
    assert not refused(silent()).silent


def test_an_answer_that_tells_nothing_new_changes_nothing() -> None:
    """So that it costs no write."""
    pace = refused(ProviderBudget())
    assert pace.answered() is pace


def test_amounts_without_an_end_stay_so() -> None:
    assert UNLIMITED.times(0.02) == UNLIMITED
    assert (UNLIMITED - ONE).requests == math.inf
