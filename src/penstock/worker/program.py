"""The worker as a program: its log, its signals, its end."""

from __future__ import annotations

import logging
import os
import signal
import time
import warnings
from collections.abc import Sequence
from threading import Thread
from typing import Any

from celery import Celery, signals
from celery.apps import worker
from celery.apps.worker import install_worker_term_handler  # type: ignore[attr-defined]  # the stubs lack it
from celery.exceptions import SecurityWarning

logger = logging.getLogger(__name__)

LOG_FORMAT = "%(asctime)s %(levelname)s %(processName)s %(message)s"


class Worker(worker.Worker):
    """Celery's worker, which ends in bounded time: on SIGTERM or SIGINT it receives no more and lets its running tasks
    finish, with their messages kept invisible. What has not ended when the time is up, or when a second signal comes,
    is killed and its message handed back."""

    def __init__(self, stop: float, **options: Any) -> None:
        """`stop`: seconds that running tasks are given."""
        self._stop = stop
        self._stopping = False
        super().__init__(**options)

    hub: Any
    pool: Any
    consumer: Any

    def install_platform_tweaks(self, worker: Any) -> None:
        for name in ("SIGTERM", "SIGINT"):
            install_worker_term_handler(worker, sig=name, callback=Worker._signalled, verbose=False)

    def on_consumer_ready(self, consumer: Any) -> None:  # noqa: ARG002
        logger.info("ready: %s", ", ".join(sorted(self.app.amqp.queues.consume_from)))

    def _signalled(self) -> None:
        seconds = 0.0 if self._stopping else self._stop
        self._stopping = True
        Thread(target=self._end, args=(seconds,), name="end", daemon=True).start()

    def _end(self, seconds: float) -> None:
        logger.info("stopping: running tasks have %.0f s", seconds)
        if self.hub is not None:
            self.hub.call_soon(lambda: None)  # the loop looks for signals when it wakes
        time.sleep(seconds)
        logger.warning("stopping: tasks that still run are killed, their messages handed back")
        for pid in self.pool.info["processes"] if self.pool is not None else ():
            os.kill(pid, signal.SIGKILL)
        consumer = self.consumer.task_consumer
        if consumer is not None:
            consumer.channel.heartbeat.end()
        os._exit(0)


def start(app: Celery, queues: Sequence[str], stop: float) -> int:
    """Work on these queues in this process until SIGTERM or SIGINT; the exit status."""
    logging.basicConfig(format=LOG_FORMAT, level=logging.INFO)
    logging.getLogger("botocore").setLevel(logging.WARNING)
    logging.getLogger("celery").setLevel(logging.WARNING)
    logging.getLogger("celery.app.trace").setLevel(logging.ERROR)  # the tasks say themselves how they went
    warnings.simplefilter("ignore", SecurityWarning)  # root is dangerous with pickle, and JSON alone is accepted
    parent = os.getpid()

    def die_with_parent(**_: object) -> None:
        """Celery asks Linux to kill a pool process when its parent dies; this is for one that died before that."""
        if os.getppid() != parent:
            os._exit(1)

    signals.worker_process_init.connect(die_with_parent)
    program = Worker(app=app, stop=stop, queues=queues, loglevel="INFO", quiet=True)
    program.start()
    return program.exitcode or 0
