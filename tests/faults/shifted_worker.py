"""A Celery worker of one lane, whose clock is wrong by so many seconds.

python -m tests.faults.shifted_worker SECONDS LANE
"""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import timedelta

from penstock.pipeline import run
from penstock.settings import Settings
from penstock.task import Lane
from penstock.wiring import now, services
from penstock.worker.app import make_app
from penstock.worker.halting import bounded
from penstock.worker.options import WorkerOptions
from penstock.worker.program import queues_of, start


def main(seconds: float, lane: Lane) -> int:
    settings = Settings()
    options = WorkerOptions(wait=settings.wait_seconds, stop=settings.stop_seconds)
    shifted = lambda: now() + timedelta(seconds=seconds)  # noqa: E731
    work = bounded(run, settings.soft_time_limit, options.stop)
    app = make_app(settings, lambda: replace(services(settings), clock=shifted), options, work)
    return start(app, queues_of([lane]), options.stop)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), Lane(sys.argv[2])))
