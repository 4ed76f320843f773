"""`penstock worker`: the Celery worker in this process."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from penstock.celery_app.app import make_app
from penstock.celery_app.metrics import with_metrics
from penstock.celery_app.options import WorkerOptions
from penstock.domain.task import Lane
from penstock.pipeline.run import run
from penstock.reading.sandbox.confine import undumpable
from penstock.settings import Settings
from penstock.telemetry.logs_and_metrics import log_json
from penstock.wiring import check_settings, services
from penstock.worker.process import queues_of, start
from penstock.worker.shutdown import with_time_limits


def run_worker(settings: Settings, lanes: Sequence[Lane] = tuple(Lane)) -> None:
    """Work on the queues of these lanes until SIGTERM or SIGINT, then end the process. When the worker receives
    messages, it logs a line with `ready: ` and the names of its queues."""
    check_settings(settings)
    undumpable()
    options = WorkerOptions(wait=settings.wait_seconds, stop=settings.stop_seconds)
    if settings.log_json:
        log_json()
    measured = with_metrics(run) if settings.log_json else run
    limited = with_time_limits(measured, settings.soft_time_limit, options.stop)
    app = make_app(settings, lambda: services(settings), options, limited)
    sys.exit(start(app, queues_of(lanes), options.stop))
