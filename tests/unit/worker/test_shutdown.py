"""Halting: when a task of a pool process is asked to stop, and when it is interrupted."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import nullcontext

import pytest

from penstock.domain.errors import Interrupted
from penstock.domain.task import Message, Stage
from penstock.pipeline.run import Done, KeepLease, Outcome
from penstock.records.leases import Claim
from penstock.services import Services, StopRequest
from penstock.worker.shutdown import Shutdown, with_time_limits
from tests.support.world import World

MESSAGE = Message(Stage.EXTRACT, "acme", "report", 1)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """What a pool process sets is no business of the test's process."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGALRM)}
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number, handler in before.items():
        signal.signal(number, handler)


def unkept(services: Services, claim: Claim) -> nullcontext[None]:
    return nullcontext()


def halts_in(limit: float, *, told: bool = False) -> StopRequest | None:
    """What a task of this limit hears at its first checkpoint."""
    heard: list[StopRequest | None] = []

    def look(services: Services, message: Message, keep: KeepLease) -> Outcome:
        if told:
            os.kill(os.getpid(), signal.SIGTERM)
        heard.append(services.stop_request())
        return Done()

    with_time_limits(look, lambda stage: limit, stop=600)(World().services, MESSAGE, unkept)
    return heard[0]


def test_a_task_within_its_limit_hears_nothing() -> None:
    assert halts_in(60) is None


def test_a_task_over_its_limit_hears_which_and_the_way_out() -> None:
    assert halts_in(0) == StopRequest("0 seconds (PENSTOCK_TASK_SOFT_TIME_LIMIT)", "Raise the limit")


def test_a_task_whose_worker_ends_hears_no_limit() -> None:
    assert halts_in(60, told=True) == StopRequest()
    assert halts_in(0, told=True) == StopRequest()


def wait_for_ever() -> None:
    while True:
        time.sleep(60)


def test_a_task_that_hears_nothing_is_interrupted() -> None:
    shutdown = Shutdown(0.01)
    shutdown.install_signal_handlers()
    os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(Interrupted), shutdown.interruptible():
        wait_for_ever()


def test_nothing_is_interrupted_but_what_may_be_and_that_as_soon_as_it_begins() -> None:
    """Taking a lease and giving it back are not: a lease must not be lost in between."""
    shutdown = Shutdown(0.01)
    shutdown.install_signal_handlers()
    os.kill(os.getpid(), signal.SIGTERM)
    signal.sigtimedwait([], 0.1)  # the alarm interrupts this
    began = False
    with pytest.raises(Interrupted), shutdown.interruptible():
        began = True
    assert not began
