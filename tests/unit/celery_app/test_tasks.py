"""The tasks: what crosses the pool, and what each of its processes makes for itself."""

from __future__ import annotations

import os
import pickle
from datetime import timedelta
from multiprocessing import get_context

import pytest

from penstock.celery_app.app import make_app
from penstock.celery_app.request import RedeliverAfter
from penstock.celery_app.tasks import OnePerProcess
from penstock.domain.errors import BadRequest, Transient
from penstock.domain.ids import TenantId
from penstock.domain.task import QUEUES, Lane, Message, Stage
from penstock.pipeline.run import Done, KeepLease, Outcome, Redeliver
from penstock.services import Services
from penstock.settings import Settings
from penstock.worker.process import queues_of
from tests.support.world import World

IDS = {"tenant": "acme", "document": "report", "generation": 1}
SETTINGS = Settings(queues={name: f"http://127.0.0.1/{name}" for name in QUEUES})


class Pipeline:
    """Gives the outcome that it was made with, and remembers its calls."""

    def __init__(self, outcome: Outcome) -> None:
        self._outcome = outcome
        self.calls: list[tuple[Services, Message]] = []

    def __call__(self, services: Services, message: Message, keep: KeepLease) -> Outcome:
        self.calls.append((services, message))
        return self._outcome


def test_a_task_runs_its_stage_once_and_returns() -> None:
    services, pipeline = World().services, Pipeline(Done())
    app = make_app(SETTINGS, lambda: services, run=pipeline)
    app.tasks["penstock.embed"](**IDS, build=2, shard=7)
    assert pipeline.calls == [(services, Message(Stage.EMBED, "acme", "report", 1, build=2, shard=7))]


def test_a_task_whose_message_comes_again_says_after_which_delay() -> None:
    app = make_app(SETTINGS, lambda: World().services, run=Pipeline(Redeliver(timedelta(seconds=12.5), "leased")))
    with pytest.raises(RedeliverAfter) as raised:
        app.tasks["penstock.extract"](**IDS)
    crossed = pickle.loads(pickle.dumps(raised.value))
    assert (crossed.delay, crossed.why, crossed.requeue) == (12.5, "leased", False)


@pytest.mark.invariant("I1")
def test_a_task_takes_ids_only() -> None:
    """I1."""
    app = make_app(SETTINGS, lambda: World().services, run=Pipeline(Done()))
    with pytest.raises(BadRequest):
        app.tasks["penstock.extract"](**IDS, text="secret")


def test_a_ping_is_answered_in_its_tenants_name() -> None:
    services = World().services
    make_app(SETTINGS, lambda: services).tasks["penstock.ping"](tenant="acme", ping="one")
    assert services.pings.answered(TenantId("acme"), "one")


@pytest.mark.invariant("I6")
def test_the_sweep_resends_what_is_due() -> None:
    """I6."""
    world = World()
    world.upload("The weir was opened.")
    world.queue.sent.clear()
    world.clock.pass_time(world.limits.resend_after)
    make_app(SETTINGS, lambda: world.services).tasks["penstock.sweep"]()
    assert len(world.queue.sent) == 1


def test_a_sweep_that_fails_leaves_the_work_to_the_next_one(caplog: pytest.LogCaptureFixture) -> None:
    world = World()

    def down(*_: object) -> None:
        raise Transient(why="the table is down")

    world.documents.due = down  # type: ignore[method-assign,assignment]
    make_app(SETTINGS, lambda: world.services).tasks["penstock.sweep"]()
    assert "the table is down" in caplog.text


@pytest.mark.invariant("I9")
def test_making_an_app_connects_to_nothing_and_makes_no_services() -> None:
    """I9."""

    def no_services() -> Services:
        raise AssertionError("asked for services")

    app = make_app(SETTINGS, no_services)
    assert {name for name in app.tasks if name.startswith("penstock.")} == {
        *(f"penstock.{stage}" for stage in Stage),
        "penstock.sweep",
        "penstock.ping",
    }


def test_services_are_made_once_in_each_process() -> None:
    """They hold connections, which do not survive a fork."""
    made: list[int] = []

    def make() -> Services:
        made.append(os.getpid())
        return World().services

    services = OnePerProcess(make)
    assert services() is services()
    assert made == [os.getpid()]
    forked = get_context("fork")
    answer = forked.SimpleQueue()
    child = forked.Process(target=lambda: answer.put((services() is services(), made)))
    child.start()
    child.join()
    assert answer.get() == (True, [os.getpid(), child.pid])


def test_a_worker_of_some_lanes_consumes_their_queues_and_deletes() -> None:
    assert queues_of([Lane.BULK]) == ["extract-bulk", "embed-bulk", "delete"]
    assert set(queues_of(tuple(Lane))) == set(QUEUES)
