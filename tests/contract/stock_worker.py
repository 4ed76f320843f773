"""An unmodified Celery worker with kombu's own transport. It writes down the tasks that it runs."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from celery import Celery
from kombu import Queue


def main(journal: str, queues: str) -> None:
    urls: dict[str, str] = json.loads(queues)
    app = Celery("stock", broker="sqs://")
    app.conf.update(
        broker_transport_options={
            "predefined_queues": {name: {"url": url} for name, url in urls.items()},
            "wait_time_seconds": 1,
            "polling_interval": 0.1,
        },
        task_queues=[Queue(name) for name in urls],
        task_create_missing_queues=False,
        task_ignore_result=True,
        worker_enable_remote_control=False,
    )
    for name in ("penstock.extract", "penstock.embed", "penstock.delete", "penstock.ping"):
        app.task(name=name)(_written(Path(journal), name))
    app.worker_main(["worker", "--pool=solo", "--loglevel=INFO", "--without-gossip", "--without-mingle"])


def _written(journal: Path, name: str):
    def task(**arguments: object) -> None:
        with journal.open("a") as file:
            file.write(json.dumps([name, arguments]) + "\n")

    return task


if __name__ == "__main__":
    main(*sys.argv[1:])
