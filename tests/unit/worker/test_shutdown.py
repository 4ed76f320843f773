"""Shutdown: when a task of a pool process is asked to stop, and when it is interrupted."""

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
from penstock.records.claim import Claim
from penstock.services import Services, StopRequest
from penstock.worker.shutdown import Shutdown, with_time_limits
from tests.support.world import World

MESSAGE = Message(Stage.EXTRACT, "acme", "report", 1)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Restore the signal handlers: the tests set those of a pool process."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGALRM)}
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number, handler in before.items():
        signal.signal(number, handler)


def keep_nothing(services: Services, claim: Claim) -> nullcontext[None]:
    return nullcontext()


def stop_request_of(limit: float, *, worker_ends: bool = False) -> StopRequest | None:
    """The stop request that a task with this limit finds at its first checkpoint."""
    seen: list[StopRequest | None] = []

    def look_once(services: Services, message: Message, keep: KeepLease) -> Outcome:
        if worker_ends:
            os.kill(os.getpid(), signal.SIGTERM)
        seen.append(services.stop_request())
        return Done()

    with_time_limits(look_once, lambda stage: limit, stop=600)(World().services, MESSAGE, keep_nothing)
    return seen[0]


def test_a_task_within_its_limit_is_not_asked_to_stop() -> None:
    assert stop_request_of(60) is None


def test_a_task_over_its_limit_learns_the_limit_and_the_way_out() -> None:
    assert stop_request_of(0) == StopRequest("0 seconds (PENSTOCK_TASK_SOFT_TIME_LIMIT)", "Raise the limit")


def test_a_task_whose_worker_ends_is_asked_to_stop_without_a_limit() -> None:
    assert stop_request_of(60, worker_ends=True) == StopRequest()
    assert stop_request_of(0, worker_ends=True) == StopRequest()


def wait_for_ever() -> None:
    while True:
        time.sleep(60)


def test_a_task_without_a_checkpoint_is_interrupted() -> None:
    shutdown = Shutdown(0.01)
    shutdown.install_signal_handlers()
    os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(Interrupted), shutdown.interruptible():
        wait_for_ever()


def test_only_the_interruptible_part_is_interrupted_and_that_as_soon_as_it_starts() -> None:
    """Taking a lease and releasing it are not interruptible: a lease must not be lost in between."""
    shutdown = Shutdown(0.01)
    shutdown.install_signal_handlers()
    os.kill(os.getpid(), signal.SIGTERM)
    signal.sigtimedwait([], 0.1)  # the alarm interrupts this
    began = False
    with pytest.raises(Interrupted), shutdown.interruptible():
        began = True
    assert not began
