"""The Celery tasks: one per stage, the sweep and the ping."""

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
_SWEEP_LIMIT = 15 * 60
"""Seconds."""


class OnePerProcess:
    """Services made when first asked for, anew in each process: connections do not survive a fork."""

    def __init__(self, make: Callable[[], Services]) -> None:
        self._make = make
        self._made: tuple[int, Services] | None = None

    def __call__(self) -> Services:
        if self._made is None or self._made[0] != os.getpid():
            self._made = os.getpid(), self._make()
        return self._made[1]


def register(app: Celery, services: Callable[[], Services], run: Run, time_limit: Callable[[Stage], int]) -> None:
    """Give the app its tasks. A process whose task is not done within its limit, in seconds, is killed."""
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
        began = monotonic()
        outcome = run(services(), message, keep)
        name = f"{stage} {message.tenant}/{message.document} {message.generation}"
        if message.shard is not None:
            name += f" shard {message.shard}"
        if isinstance(outcome, Redeliver):
            logger.info("%s: again in %.0f s: %s", name, outcome.delay.total_seconds(), outcome.why)
            raise RedeliverAfter(outcome.delay.total_seconds(), outcome.why)
        logger.info("%s: done in %.2f s", name, monotonic() - began)

    return work


def _sweep_task(services: Callable[[], Services]) -> Callable[[], None]:
    def see_to_what_is_due() -> None:
        try:
            found = sweep(services())
        except Transient as error:
            logger.warning("not swept; the next turn comes soon: %s", error)
        else:
            if found:
                logger.info("swept %d", found)

    return see_to_what_is_due


def _ping_task(services: Callable[[], Services]) -> Callable[..., None]:
    def answer(*, tenant: str, ping: str) -> None:
        services().pings.answer(tenant_id(tenant), ping)

    return answer
