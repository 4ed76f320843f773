"""`penstock beat`: Celery's beat, which asks the workers for a sweep on a schedule (I6). One is enough for all workers.
In AWS the template's schedule calls a function instead, and no beat is needed."""

from __future__ import annotations

import logging
import signal
import sys
from types import FrameType
from typing import NoReturn

from celery.beat import Scheduler, Service

from penstock.settings import Settings
from penstock.wiring import services
from penstock.worker.app import make_app
from penstock.worker.program import log_text

logger = logging.getLogger(__name__)


def run_beat(settings: Settings) -> None:
    """Until SIGTERM or SIGINT. Where SQS does not answer, it says so, and asks at the next turn."""
    log_text()
    app = make_app(settings, lambda: services(settings))
    # Celery's own choice of scheduler keeps a file, for turns that come seldom.
    service = Service(app, scheduler_cls=Scheduler)
    # Not sooner: while Celery is imported, Python would make another error of this.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    logger.info("ready: a sweep every %g s", settings.sweep_seconds)
    service.start()


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    """Beat sleeps between its turns, and takes this for its end."""
    sys.exit(0)
