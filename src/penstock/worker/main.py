"""`penstock worker`: the Celery worker in this process."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from penstock.settings import Settings
from penstock.task import Lane, Stage, queue_name
from penstock.wiring import services
from penstock.worker.app import make_app
from penstock.worker.options import WorkerOptions
from penstock.worker.program import start


def run_worker(settings: Settings, lanes: Sequence[Lane] = tuple(Lane)) -> None:
    """Work on the queues of these lanes until SIGTERM or SIGINT, then end the process. Logs a line that contains
    `ready: ` and the queues when it receives."""
    options = WorkerOptions()
    app = make_app(settings, lambda: services(settings), options)
    queues = dict.fromkeys(queue_name(stage, lane) for stage in Stage for lane in lanes)
    sys.exit(start(app, list(queues), options.stop))
