"""The Celery tasks: one for each stage, the sweep and the ping."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from functools import partial
from time import monotonic

from celery import Celery

from penstock.adapters.celery.wire_format import PING_TASK, STAGE_TASKS, SWEEP_TASK
from penstock.celery_app.lease_renewal import renewing
from penstock.celery_app.request import RedeliverAfter, Request
from penstock.domain.errors import Transient
from penstock.domain.ids import tenant_id
from penstock.domain.task import Message, Stage
from penstock.operations.sweep import sweep
from penstock.pipeline.run import KeepLease, Redeliver, Run
from penstock.services import Services
from penstock.telemetry.context import log_context

logger = logging.getLogger(__name__)

_PING_LIMIT = 60
"""The hard time limit of a ping, in seconds."""
_SWEEP_LIMIT = 15 * 60
"""The hard time limit of a sweep, in seconds."""


class OnePerProcess:
    """Makes the services once in each process, when they are first needed: connections do not survive a fork."""

    def __init__(self, make: Callable[[], Services]) -> None:
        self._make = make
        self._made: tuple[int, Services] | None = None

    def __call__(self) -> Services:
        if self._made is None or self._made[0] != os.getpid():
            self._made = os.getpid(), self._make()
        return self._made[1]


def register(app: Celery, services: Callable[[], Services], run: Run, time_limit: Callable[[Stage], int]) -> None:
    """Register the tasks with the app.

    Args:
        app: the app.
        services: a function that returns the services of the current process.
        run: the function that runs a stage.
        time_limit: the hard limit of each stage, in seconds. A process whose task takes longer is killed.
    """
    for name, stage in STAGE_TASKS.items():
        limit = time_limit(stage)
        task = _stage_task(stage, services, run, partial(renewing, most=limit))
        app.task(name=name, Request=Request, shared=False, time_limit=limit)(task)
    app.task(name=SWEEP_TASK, Request=Request, shared=False, time_limit=_SWEEP_LIMIT)(_sweep_task(services))
    app.task(name=PING_TASK, Request=Request, shared=False, time_limit=_PING_LIMIT)(_ping_task(services))


def _stage_task(stage: Stage, services: Callable[[], Services], run: Run, keep: KeepLease) -> Callable[..., None]:
    def work(**arguments: object) -> None:
        message = Message.of(stage, arguments)
        with log_context(stage=stage.value, **message.arguments()):
            work_on(message)

    def work_on(message: Message) -> None:
        started = monotonic()
        outcome = run(services(), message, keep)
        name = f"{stage} {message.tenant}/{message.document} {message.generation}"
        if message.shard is not None:
            name += f" shard {message.shard}"
        if isinstance(outcome, Redeliver):
            logger.info("%s: again in %.0f s: %s", name, outcome.delay.total_seconds(), outcome.why)
            raise RedeliverAfter(outcome.delay.total_seconds(), outcome.why)
        logger.info("%s: done in %.2f s", name, monotonic() - started)

    return work


def _sweep_task(services: Callable[[], Services]) -> Callable[[], None]:
    def sweep_due_records() -> None:
        try:
            swept = sweep(services())
        except Transient as error:
            logger.warning("The sweep failed; the next one comes soon: %s", error)
        else:
            if swept:
                logger.info("swept %d records", swept)

    return sweep_due_records


def _ping_task(services: Callable[[], Services]) -> Callable[..., None]:
    def answer(*, tenant: str, ping: str) -> None:
        services().pings.answer(tenant_id(tenant), ping)

    return answer
