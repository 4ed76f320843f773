"""The worker as a program: its log, its signals and its end."""

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
    """Celery's worker, which ends within a time limit.

    After SIGTERM or SIGINT it receives nothing more, returns the messages that wait, and signals its running tasks,
    which finish or stop at a checkpoint (see `Shutdown`). Their messages stay invisible until then. The processes that
    have not ended when the time is over, or when a second signal comes, are killed, and their messages returned.
    """

    hub: Any
    consumer: Any
    pool: Any

    def __init__(self, stop: float, **options: Any) -> None:
        """
        Args:
            stop: the time that the worker may take to end, in seconds.
            options: the options of Celery's worker.
        """
        self._stop_seconds = stop
        self._stopping = False
        super().__init__(**options)

    def install_platform_tweaks(self, worker: Any) -> None:
        for name in ("SIGTERM", "SIGINT"):
            install_worker_term_handler(worker, sig=name, callback=Worker._on_signal, verbose=False)

    def on_consumer_ready(self, consumer: Any) -> None:  # noqa: ARG002
        logger.info("ready: %s", ", ".join(sorted(self.app.amqp.queues.consume_from)))

    def stop(self, *arguments: Any, **options: Any) -> None:
        if self.pool is not None and self.pool._pool is not None:
            collect_pool_acks(self.pool._pool)
        super().stop(*arguments, **options)

    def _on_signal(self) -> None:
        seconds = 0.0 if self._stopping else self._stop_seconds
        self._stopping = True
        Thread(target=self._end_within, args=(seconds,), name="end", daemon=True).start()

    def _end_within(self, seconds: float) -> None:
        logger.info("stopping: running tasks have %.0f s", seconds)
        if self.hub is not None:
            self.hub.call_soon(lambda: None)  # the loop looks for signals when it wakes
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            # Repeated: a process whose first task is still on its way ignores the signal until that task starts.
            _signal_children(signal.SIGTERM)
            time.sleep(min(left, 1))
        logger.warning("stopping: tasks that still run are killed, and their messages returned")
        try:
            _signal_children(signal.SIGKILL)
            if self.consumer.task_consumer is not None:
                self.consumer.task_consumer.channel.heartbeat.end()
        finally:
            os._exit(0)


def _signal_children(number: signal.Signals) -> None:
    for child in active_children():
        with suppress(ProcessLookupError):
            if child.pid is not None:
                os.kill(child.pid, number)


def queues_of(lanes: Iterable[Lane]) -> list[str]:
    """The names of the queues of these lanes. Delete has one queue for all lanes."""
    lanes = tuple(lanes)
    return list(dict.fromkeys(queue_name(stage, lane) for stage in Stage for lane in lanes))


def log_text() -> None:
    """Log lines of text for people, unless logging was set up before."""
    logging.basicConfig(format=LOG_FORMAT, level=logging.INFO)
    logging.getLogger("botocore").setLevel(logging.WARNING)
    logging.getLogger("celery").setLevel(logging.WARNING)


def _keep_log(**_: object) -> None:
    """Without a receiver of its signal `setup_logging`, Celery sets up a log of its own."""


def start(app: Celery, queues: Sequence[str], stop: float) -> int:
    """Work on these queues in this process until SIGTERM or SIGINT.

    Args:
        app: the app that `make_app` made.
        queues: the names of the queues.
        stop: the time that the worker may take to end, in seconds.

    Returns:
        The exit status.
    """
    log_text()
    logging.getLogger("celery.app.trace").setLevel(logging.ERROR)  # the tasks log their own outcomes
    warnings.simplefilter("ignore", SecurityWarning)  # root is dangerous with pickle, and JSON alone is accepted
    signals.setup_logging.connect(_keep_log)
    get_logger().propagate = True  # billiard logs which pool process died, and of what
    parent = os.getpid()

    def die_with_parent(**_: object) -> None:
        """Celery asks Linux to kill a pool process when its parent dies. This is for a parent that died before that."""
        if os.getppid() != parent:
            os._exit(1)

    def ignore_until_first_task(**_: object) -> None:
        """The pool ends a process without a task. For a process with one, see `Shutdown`."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

    signals.worker_process_init.connect(die_with_parent)
    signals.worker_process_init.connect(ignore_until_first_task)
    program = Worker(app=app, stop=stop, queues=queues, quiet=True)
    program.start()
    return program.exitcode or 0
