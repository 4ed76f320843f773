"""Lease renewal: a lease lasts as long as its holder works, and no longer."""

from __future__ import annotations

from datetime import timedelta
from threading import Event, Thread
from threading import enumerate as enumerate_threads

import pytest

from penstock.celery_app.lease_renewal import renewing
from penstock.domain.errors import Fenced, Transient
from penstock.records.claim import Claim
from penstock.records.document_lease import take_extract
from penstock.services import Services
from tests.support.world import World, prose


class Recorder:
    """Stands for the renewal of a claim: it gives the answers in order, and sets `done` after enough calls."""

    def __init__(self, *answers: Exception | None, enough: int) -> None:
        self._answers = list(answers)
        self._enough = enough
        self.calls = 0
        self.done = Event()

    def __call__(self, services: Services, claim: Claim) -> None:
        self.calls += 1
        if self.calls >= self._enough:
            self.done.set()
        answer = self._answers.pop(0) if self._answers else None
        if answer is not None:
            raise answer


def renewals() -> list[Thread]:
    return [thread for thread in enumerate_threads() if thread.name == "renewal"]


@pytest.fixture
def world(world: World) -> World:
    return world.with_limits(lease=timedelta(milliseconds=60))


@pytest.fixture
def claim(world: World) -> Claim:
    world.upload(prose("a", 1))
    return take_extract(world.services, world.take())


def test_a_lease_is_renewed_until_the_work_ends(world: World, claim: Claim) -> None:
    renew = Recorder(enough=3)
    with renewing(world.services, claim, renew):
        assert renew.done.wait(10)
    assert not renewals()


@pytest.mark.parametrize("failure", [Transient(why="no answer"), RuntimeError("a bug")])
def test_a_renewal_that_fails_is_tried_again(world: World, claim: Claim, failure: Exception) -> None:
    renew = Recorder(failure, failure, enough=3)
    with renewing(world.services, claim, renew):
        assert renew.done.wait(10)


@pytest.mark.invariant("I2")
def test_a_lost_lease_is_not_renewed_and_does_not_disturb_the_work(world: World, claim: Claim) -> None:
    """I2: its former holder learns of it at the next write."""
    renew = Recorder(Fenced(), enough=2)
    with renewing(world.services, claim, renew):
        (thread,) = renewals()
        thread.join(10)
        assert not thread.is_alive()
    assert renew.calls == 1


@pytest.mark.invariant("I7")
def test_the_lease_in_the_record_is_extended(world: World, claim: Claim) -> None:
    """I7."""
    world.clock.pass_time(timedelta(milliseconds=30))
    before = world.record(claim.document.id).lease
    with renewing(world.services, claim):
        for _ in range(200):
            if world.record(claim.document.id).lease.until != before.until:
                break
            Event().wait(0.02)
    after = world.record(claim.document.id).lease
    assert (after.epoch, after.until) == (before.epoch, world.clock() + world.limits.lease)


def test_an_error_of_the_work_comes_through(world: World, claim: Claim) -> None:
    with pytest.raises(ZeroDivisionError), renewing(world.services, claim, Recorder(enough=1)):
        raise ZeroDivisionError
