"""The scheduled sweep: it sweeps until no record is due, or the time of the invocation is short (I6)."""

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
"""The maximum number of records in one call of the sweep."""
_MIN_MILLISECONDS_LEFT = 20_000
"""With less time than this left, in milliseconds, the sweep is not called again, because `LIMIT` records may take
longer. The rest is swept at the next turn."""

Handler = Callable[[Event, LambdaContext], dict[str, int]]


@per_container
def sweeper() -> Handler:
    log_json()
    return make_handler(services(Settings.from_environment()))


def handler(event: Event, context: LambdaContext) -> dict[str, int]:
    return sweeper()(event, context)


def make_handler(services: Services, limit: int = LIMIT) -> Handler:
    """Make the handler over these services. It answers with the number of records that it swept.

    Raises:
        Transient: the table did not answer.
    """

    def handler(event: Event, context: LambdaContext) -> dict[str, int]:  # noqa: ARG001 - the event of a schedule is empty
        swept = found = sweep(services, limit=limit)
        while found == limit and context.get_remaining_time_in_millis() > _MIN_MILLISECONDS_LEFT:
            found = sweep(services, limit=limit)
            swept += found
        if swept:
            log.info("swept %d records", swept)
        return {"swept": swept}

    return handler
