"""The schedule: sweep until nothing is due, or the time is short (I6)."""

from __future__ import annotations

from penstock.lambdas.cold_start import per_container

# isort: split

import logging
from collections.abc import Callable

from penstock.lambdas.batch import Event, LambdaContext
from penstock.operations.sweep import sweep
from penstock.services import Services
from penstock.settings import Settings
from penstock.telemetry.logs_and_metrics import log_json
from penstock.wiring import services

log = logging.getLogger(__name__)

LIMIT = 100
"""Records at a time."""
_SHORT = 20_000
"""Milliseconds in which so many records may not be seen to: the rest is due at the next turn."""

Handler = Callable[[Event, LambdaContext], dict[str, int]]


@per_container
def sweeper() -> Handler:
    log_json()
    return make_handler(services(Settings.from_environment()))


def handler(event: Event, context: LambdaContext) -> dict[str, int]:
    return sweeper()(event, context)


def make_handler(services: Services, limit: int = LIMIT) -> Handler:
    """The handler over these services: answers how many records it saw to.

    Raises:
        Transient: the table did not answer.
    """

    def handler(event: Event, context: LambdaContext) -> dict[str, int]:  # noqa: ARG001 - a schedule says nothing
        swept = found = sweep(services, limit=limit)
        while found == limit and context.get_remaining_time_in_millis() > _SHORT:
            found = sweep(services, limit=limit)
            swept += found
        if swept:
            log.info("swept %d", swept)
        return {"swept": swept}

    return handler
