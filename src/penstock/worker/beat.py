"""`penstock beat`: Celery's beat, which sends a sweep task to the workers on a schedule (I6).

One beat is enough for all workers. With Lambda no beat is needed: the template's schedule calls a function instead.
"""

from __future__ import annotations

import logging
import signal
import sys
from datetime import UTC, datetime
from time import monotonic
from types import FrameType
from typing import NoReturn

from celery.beat import Scheduler, Service
from celery.schedules import schedule

from penstock.adapters.celery.wire_format import SWEEP_TASK
from penstock.celery_app.app import make_app
from penstock.domain.task import Lane, Stage, queue_name
from penstock.settings import Settings
from penstock.wiring import services
from penstock.worker.process import log_text

logger = logging.getLogger(__name__)


def run_beat(settings: Settings) -> None:
    """Run beat until SIGTERM or SIGINT. If SQS does not answer, beat logs it and tries again at the next turn."""
    log_text()
    app = make_app(settings, lambda: services(settings))
    app.conf.beat_schedule = {SWEEP_TASK: sweeps(settings.sweep_seconds)}
    # Celery's default scheduler keeps its times in a file, which tasks that are due seldom need, and this one does not.
    service = Service(app, scheduler_cls=Scheduler)
    # Not sooner: while Celery is being imported, Python would turn the SystemExit into another error.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _exit)
    logger.info("ready: a sweep every %g s", settings.sweep_seconds)
    service.start()


def sweeps(seconds: float) -> dict[str, object]:
    """The entry of the sweep in Celery's schedule. It uses the monotonic clock: if the wall clock were set back by an
    hour, there would be no sweep for an hour."""
    return {
        "task": SWEEP_TASK,
        "schedule": schedule(seconds, nowfun=lambda: datetime.fromtimestamp(monotonic(), UTC)),
        # Every worker consumes the delete queue, whatever its lanes, and no backlog of documents delays it.
        "options": {"queue": queue_name(Stage.DELETE, Lane.STANDARD)},
    }


def _exit(_number: int, _frame: FrameType | None) -> NoReturn:
    """Interrupt the sleep of beat between two turns: it takes SystemExit as the request to end."""
    sys.exit(0)
