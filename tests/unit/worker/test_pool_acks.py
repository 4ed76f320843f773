"""What the processes of the pool have begun is known before the worker stops."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery.concurrency.prefork import TaskPool
from kombu.asynchronous import Hub

from penstock.worker.pool_acks import collect_pool_acks


@pytest.fixture
def hub() -> Iterator[Hub]:
    hub = Hub()
    yield hub
    hub.close()


@pytest.fixture
def pool(hub: Hub) -> Iterator[Any]:
    """Celery's own, of two processes."""
    app = Celery(set_as_current=False)
    pool = TaskPool(2, app=app, threads=False, initargs=(app, "here"))
    pool.start()
    pool.register_with_event_loop(hub)
    yield pool
    pool.terminate()


def given(pool: Any, hub: Hub, *arguments: Any, **callbacks: Any) -> Any:
    """A job whose process has it, and of which the loop has heard nothing since."""
    job = pool.apply_async(*arguments, **callbacks)
    loop = hub.create_loop()
    while job._write_to is None:
        next(loop)
    assert not job._accepted
    return job


def test_a_task_that_its_process_has_is_known_to_have_begun(pool: Any, hub: Hub) -> None:
    job = given(pool, hub, Path.exists, (Path("/"),))
    collect_pool_acks(pool._pool)
    assert job._accepted


@pytest.mark.invariant("I1")
def test_a_task_that_was_begun_is_heard_to_its_end(pool: Any, hub: Hub) -> None:
    """I1: a worker that stops tells of every task that it ran."""
    results: list[bool] = []
    given(pool, hub, Path.exists, (Path("/"),), callback=results.append)
    collect_pool_acks(pool._pool)
    pool.flush()
    pool.stop()
    assert results == [True]


def test_a_process_that_died_with_its_task_is_not_waited_for(
    pool: Any, hub: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    job = given(pool, hub, Path.exists, (Path("/"),))
    job._write_to.terminate()
    job._write_to.join()
    collect_pool_acks(pool._pool)
    assert "have not said" not in caplog.text
