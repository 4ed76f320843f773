"""Prefetch: how many messages a worker holds at a time."""

from __future__ import annotations

import pytest

from penstock.worker import prefetch
from penstock.worker.prefetch import AdaptivePrefetch


class Channel:
    do_restore = False


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(prefetch, "monotonic", made)
    return made


@pytest.fixture
def prefetch_limit(clock: Clock) -> AdaptivePrefetch:
    return AdaptivePrefetch(Channel(), prefetch_count=4)


def complete_tasks(prefetch_limit: AdaptivePrefetch, count: int) -> None:
    for number in range(count):
        prefetch_limit.append("message", f"done-{number}")
        prefetch_limit.ack(f"done-{number}")


def test_as_many_are_held_as_celery_says(prefetch_limit: AdaptivePrefetch) -> None:
    for number in range(4):
        assert prefetch_limit.can_consume()
        assert prefetch_limit.can_consume_max_estimate() == 4 - number
        prefetch_limit.append("message", f"{number}")
    assert not prefetch_limit.can_consume()
    assert prefetch_limit.can_consume_max_estimate() == 0
    prefetch_limit.ack("2")
    assert prefetch_limit.can_consume_max_estimate() == 1


def test_more_are_held_where_more_were_done_within_a_second(prefetch_limit: AdaptivePrefetch, clock: Clock) -> None:
    complete_tasks(prefetch_limit, 16)
    assert prefetch_limit.can_consume_max_estimate() == 4
    clock.now += 1
    assert prefetch_limit.can_consume_max_estimate() == 16


def test_then_more_are_received_once_half_of_the_limit_is_free(prefetch_limit: AdaptivePrefetch, clock: Clock) -> None:
    complete_tasks(prefetch_limit, 16)
    clock.now += 1
    for number in range(8):
        assert prefetch_limit.can_consume()
        prefetch_limit.append("message", f"{number}")
    assert prefetch_limit.can_consume()
    prefetch_limit.append("message", "8")
    assert not prefetch_limit.can_consume()


def test_never_more_than_forty(prefetch_limit: AdaptivePrefetch, clock: Clock) -> None:
    complete_tasks(prefetch_limit, 1000)
    clock.now += 1
    assert prefetch_limit.can_consume_max_estimate() == 40


def test_a_pause_lowers_the_limit_again(prefetch_limit: AdaptivePrefetch, clock: Clock) -> None:
    complete_tasks(prefetch_limit, 16)
    clock.now += 2
    assert prefetch_limit.can_consume_max_estimate() == 4


def test_no_limit_is_none(clock: Clock) -> None:
    unbounded = AdaptivePrefetch(Channel(), prefetch_count=0)
    assert unbounded.can_consume()
    assert unbounded.can_consume_max_estimate() is None
