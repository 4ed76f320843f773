"""The worker knows which tasks the processes of its pool have started, before it stops."""

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
    """Celery's own pool, of two processes."""
    app = Celery(set_as_current=False)
    pool = TaskPool(2, app=app, threads=False, initargs=(app, "here"))
    pool.start()
    pool.register_with_event_loop(hub)
    yield pool
    pool.terminate()


def sent_job(pool: Any, hub: Hub, *arguments: Any, **callbacks: Any) -> Any:
    """A job that its process has received, and whose acknowledgement the event loop has not read."""
    job = pool.apply_async(*arguments, **callbacks)
    loop = hub.create_loop()
    while job._write_to is None:
        next(loop)
    assert not job._accepted
    return job


def test_a_task_that_its_process_has_received_is_acknowledged(pool: Any, hub: Hub) -> None:
    job = sent_job(pool, hub, Path.exists, (Path("/"),))
    collect_pool_acks(pool._pool)
    assert job._accepted


def test_the_result_of_a_started_task_is_read(pool: Any, hub: Hub) -> None:
    """A worker that stops knows the outcome of every task that it ran."""
    results: list[bool] = []
    sent_job(pool, hub, Path.exists, (Path("/"),), callback=results.append)
    collect_pool_acks(pool._pool)
    pool.flush()
    pool.stop()
    assert results == [True]


def test_a_process_that_died_with_its_task_is_not_waited_for(
    pool: Any, hub: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    job = sent_job(pool, hub, Path.exists, (Path("/"),))
    job._write_to.terminate()
    job._write_to.join()
    collect_pool_acks(pool._pool)
    assert "have not acknowledged" not in caplog.text
