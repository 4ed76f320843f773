"""The worker as a program: its log, its signals, its end."""

from __future__ import annotations

import logging
import os
import signal
import time
import warnings
from collections.abc import Iterable, Sequence
from contextlib import suppress
from threading import Thread
from typing import Any

from billiard import active_children, get_logger
from celery import Celery, signals
from celery.apps import worker
from celery.apps.worker import install_worker_term_handler  # type: ignore[attr-defined]  # the stubs lack it
from celery.exceptions import SecurityWarning

from penstock.domain.task import Lane, Stage, queue_name
from penstock.worker.pool_acks import collect_pool_acks

logger = logging.getLogger(__name__)

LOG_FORMAT = "%(asctime)s %(levelname)s %(processName)s %(message)s"


class Worker(worker.Worker):
    """Celery's worker, which ends in bounded time: on SIGTERM or SIGINT it receives no more, hands back what waits, and
    tells its running tasks, which finish or hand back (see `Shutdown`), with their messages kept invisible until then.
    What has not ended when the time is up, or when a second signal comes, is killed and its message handed back."""

    hub: Any
    consumer: Any
    pool: Any

    def __init__(self, stop: float, **options: Any) -> None:
        """`stop`: seconds that all of that may take."""
        self._stop = stop
        self._stopping = False
        super().__init__(**options)

    def install_platform_tweaks(self, worker: Any) -> None:
        for name in ("SIGTERM", "SIGINT"):
            install_worker_term_handler(worker, sig=name, callback=Worker._signalled, verbose=False)

    def on_consumer_ready(self, consumer: Any) -> None:  # noqa: ARG002
        logger.info("ready: %s", ", ".join(sorted(self.app.amqp.queues.consume_from)))

    def stop(self, *arguments: Any, **options: Any) -> None:
        if self.pool is not None and self.pool._pool is not None:
            collect_pool_acks(self.pool._pool)
        super().stop(*arguments, **options)

    def _signalled(self) -> None:
        seconds = 0.0 if self._stopping else self._stop
        self._stopping = True
        Thread(target=self._end, args=(seconds,), name="end", daemon=True).start()

    def _end(self, seconds: float) -> None:
        logger.info("stopping: running tasks have %.0f s", seconds)
        if self.hub is not None:
            self.hub.call_soon(lambda: None)  # the loop looks for signals when it wakes
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            _tell_children(signal.SIGTERM)  # again and again: one whose first task is on its way hears it only then
            time.sleep(min(left, 1))
        logger.warning("stopping: tasks that still run are killed, their messages handed back")
        try:
            _tell_children(signal.SIGKILL)
            if self.consumer.task_consumer is not None:
                self.consumer.task_consumer.channel.heartbeat.end()
        finally:
            os._exit(0)


def _tell_children(number: signal.Signals) -> None:
    for child in active_children():
        with suppress(ProcessLookupError):
            if child.pid is not None:
                os.kill(child.pid, number)


def queues_of(lanes: Iterable[Lane]) -> list[str]:
    """The queues of these lanes, by name. Delete has one for all lanes."""
    lanes = tuple(lanes)
    return list(dict.fromkeys(queue_name(stage, lane) for stage in Stage for lane in lanes))


def log_text() -> None:
    """Log lines to read, unless a log was set up before."""
    logging.basicConfig(format=LOG_FORMAT, level=logging.INFO)
    logging.getLogger("botocore").setLevel(logging.WARNING)
    logging.getLogger("celery").setLevel(logging.WARNING)


def _keep_log(**_: object) -> None: ...


def start(app: Celery, queues: Sequence[str], stop: float) -> int:
    """Work on these queues in this process until SIGTERM or SIGINT; the exit status."""
    log_text()
    logging.getLogger("celery.app.trace").setLevel(logging.ERROR)  # the tasks say themselves how they went
    warnings.simplefilter("ignore", SecurityWarning)  # root is dangerous with pickle, and JSON alone is accepted
    signals.setup_logging.connect(_keep_log)  # else Celery sets up one of its own
    get_logger().propagate = True  # which pool process died, and of what
    parent = os.getpid()

    def die_with_parent(**_: object) -> None:
        """Celery asks Linux to kill a pool process when its parent dies; this is for one that died before that."""
        if os.getppid() != parent:
            os._exit(1)

    def ignore_until_busy(**_: object) -> None:
        """Without a task it is the pool that ends a process; with one, see `Shutdown`."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

    signals.worker_process_init.connect(die_with_parent)
    signals.worker_process_init.connect(ignore_until_busy)
    program = Worker(app=app, stop=stop, queues=queues, quiet=True)
    program.start()
    return program.exitcode or 0
