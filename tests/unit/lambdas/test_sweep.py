"""The scheduled sweep: it sweeps all that is due, as far as its time allows."""

from __future__ import annotations

from datetime import timedelta

import pytest

from penstock.lambdas.sweep import make_handler
from tests.support.lambda_events import Invocation, sample
from tests.support.world import World


@pytest.fixture
def world(world: World) -> World:
    """Five documents whose messages were lost."""
    for number in range(5):
        world.upload(f"Document {number}")
    world.queue.sent.clear()
    world.clock.pass_time(timedelta(hours=1))
    return world


@pytest.mark.invariant("I6")
def test_all_that_is_due_is_swept(world: World) -> None:
    """I6."""
    assert make_handler(world.services, limit=2)(sample("sweep"), Invocation(60)) == {"swept": 5}
    assert len(world.queue.sent) == 5


def test_where_time_is_short_the_rest_waits_for_the_next_turn(world: World) -> None:
    assert make_handler(world.services, limit=2)(sample("sweep"), Invocation(5)) == {"swept": 2}
    assert make_handler(world.services, limit=2)(sample("sweep"), Invocation(60)) == {"swept": 3}


def test_nothing_due_is_no_work(world: World) -> None:
    handler = make_handler(world.services)
    handler(sample("sweep"), Invocation())
    assert handler(sample("sweep"), Invocation()) == {"swept": 0}
