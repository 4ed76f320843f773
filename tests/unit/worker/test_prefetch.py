"""Appetite: how many messages are held at a time."""

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
def held(clock: Clock) -> AdaptivePrefetch:
    return AdaptivePrefetch(Channel(), prefetch_count=4)


def do(held: AdaptivePrefetch, count: int) -> None:
    for number in range(count):
        held.append("message", f"done-{number}")
        held.ack(f"done-{number}")


def test_as_many_are_held_as_celery_says(held: AdaptivePrefetch) -> None:
    for number in range(4):
        assert held.can_consume()
        assert held.can_consume_max_estimate() == 4 - number
        held.append("message", f"{number}")
    assert not held.can_consume()
    assert held.can_consume_max_estimate() == 0
    held.ack("2")
    assert held.can_consume_max_estimate() == 1


def test_more_are_held_where_more_were_done_within_a_second(held: AdaptivePrefetch, clock: Clock) -> None:
    do(held, 16)
    assert held.can_consume_max_estimate() == 4
    clock.now += 1
    assert held.can_consume_max_estimate() == 16


def test_then_more_are_asked_for_once_there_is_room_for_half(held: AdaptivePrefetch, clock: Clock) -> None:
    do(held, 16)
    clock.now += 1
    for number in range(8):
        assert held.can_consume()
        held.append("message", f"{number}")
    assert held.can_consume()
    held.append("message", "8")
    assert not held.can_consume()


def test_never_more_than_forty(held: AdaptivePrefetch, clock: Clock) -> None:
    do(held, 1000)
    clock.now += 1
    assert held.can_consume_max_estimate() == 40


def test_a_pause_lowers_the_limit_again(held: AdaptivePrefetch, clock: Clock) -> None:
    do(held, 16)
    clock.now += 2
    assert held.can_consume_max_estimate() == 4


def test_no_limit_is_none(clock: Clock) -> None:
    unbounded = AdaptivePrefetch(Channel(), prefetch_count=0)
    assert unbounded.can_consume()
    assert unbounded.can_consume_max_estimate() is None
