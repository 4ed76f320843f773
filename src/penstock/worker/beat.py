"""`penstock beat`: Celery's beat, which asks the workers for a sweep on a schedule (I6). One is enough for all workers.
In AWS the template's schedule calls a function instead, and no beat is needed."""

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
    """Until SIGTERM or SIGINT. Where SQS does not answer, it says so, and asks at the next turn."""
    log_text()
    app = make_app(settings, lambda: services(settings))
    app.conf.beat_schedule = {SWEEP_TASK: sweeps(settings.sweep_seconds)}
    # Celery's own choice of scheduler keeps a file, for turns that come seldom.
    service = Service(app, scheduler_cls=Scheduler)
    # Not sooner: while Celery is imported, Python would make another error of this.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    logger.info("ready: a sweep every %g s", settings.sweep_seconds)
    service.start()


def sweeps(seconds: float) -> dict[str, object]:
    """An entry of Celery's schedule. Its time is the monotonic clock's: by the wall clock, one that is put back by an
    hour would be an hour without a sweep."""
    return {
        "task": SWEEP_TASK,
        "schedule": schedule(seconds, nowfun=lambda: datetime.fromtimestamp(monotonic(), UTC)),
        # Every worker takes from the delete queue, whatever its lanes, and no backlog of documents stands in it.
        "options": {"queue": queue_name(Stage.DELETE, Lane.STANDARD)},
    }


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    """Beat sleeps between its turns, and takes this for its end."""
    sys.exit(0)
