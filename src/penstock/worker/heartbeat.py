"""Heartbeat: what this worker has received stays invisible to others until it lets go of it."""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import islice
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from time import monotonic
from typing import TYPE_CHECKING, Any

from celery import bootsteps
from celery.worker.consumer.tasks import Tasks

from penstock.worker.envelope import LONGEST

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

logger = logging.getLogger(__name__)

_BATCH = 10
_TRIES = 3
_PATIENCE = 5
"""Seconds that the end of a worker waits for SQS to take back what was held; else it comes back by itself."""


class Heartbeat:
    """The visibility of what a channel has received and not let go of. One thread alone speaks of it to SQS, so a
    delay that was set is never overtaken by an extension that was on its way."""

    def __init__(self, client: SQSClient, visibility: int) -> None:
        """`visibility`: seconds for which a message is hidden when received, and again every third of that."""
        self._client = client
        self._visibility = visibility
        self._lock = Lock()
        self._held: dict[str, str] = {}
        self._told: SimpleQueue[Mapping[str, tuple[str, int]] | None] = SimpleQueue()
        self._thread = Thread(target=self._beat, name="heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def hold(self, receipt: str, queue: str) -> None:
        """Keep this message of the queue with this URL invisible from here on."""
        with self._lock:
            self._held[receipt] = queue

    def let_go(self, receipt: str) -> str | None:
        """Its queue's URL; None where it is not held."""
        with self._lock:
            return self._held.pop(receipt, None)

    def hand_back(self, receipt: str, delay: float) -> None:
        """Let go of it, and make it visible after so many seconds."""
        queue = self.let_go(receipt)
        if queue is not None:
            self._told.put({receipt: (queue, min(max(0, math.ceil(delay)), LONGEST))})

    def end(self) -> None:
        """Hand back all that is held, at once, and end the thread."""
        with self._lock:
            held, self._held = self._held, {}
        self._told.put({receipt: (queue, 0) for receipt, queue in held.items()})
        self._told.put(None)
        if self._thread.is_alive():
            self._thread.join(_PATIENCE)

    def _beat(self) -> None:
        every = self._visibility / 3
        due = monotonic() + every
        while True:
            try:
                told = self._told.get(timeout=max(0, due - monotonic()))
            except Empty:
                with self._lock:
                    held = dict(self._held)
                self._set({receipt: (queue, self._visibility) for receipt, queue in held.items()}, tries=1)
                due = monotonic() + every
            else:
                if told is None:
                    return
                self._set(told, tries=_TRIES)

    def _set(self, visibilities: Mapping[str, tuple[str, int]], tries: int) -> None:
        by_queue: dict[str, list[tuple[str, int]]] = defaultdict(list)
        for receipt, (queue, seconds) in visibilities.items():
            by_queue[queue].append((receipt, seconds))
        for queue, entries in by_queue.items():
            for batch in _batches(entries):
                self._set_batch(queue, batch, tries)

    def _set_batch(self, queue: str, batch: list[tuple[str, int]], tries: int) -> None:
        for left in reversed(range(tries)):
            try:
                answer = self._client.change_message_visibility_batch(
                    QueueUrl=queue,
                    Entries=[
                        {"Id": str(n), "ReceiptHandle": receipt, "VisibilityTimeout": seconds}
                        for n, (receipt, seconds) in enumerate(batch)
                    ],
                )
            except Exception as failure:  # noqa: BLE001 - nothing may end this thread: what is held would become visible
                logger.warning("Visibility in %s not set (%d more tries): %s", queue, left, failure)
            else:
                for failed in answer.get("Failed", ()):
                    self._refused(queue, batch[int(failed["Id"])][0], failed.get("Message", failed["Code"]))
                return

    def _refused(self, queue: str, receipt: str, why: str) -> None:
        """One that was let go of meanwhile is deleted or handed back, and its refusal means nothing."""
        with self._lock:
            held = receipt in self._held
        if held:
            logger.warning("Visibility of a message in %s not set: %s", queue, why)


def _batches(entries: Iterable[tuple[str, int]]) -> Iterable[list[tuple[str, int]]]:
    rest = iter(entries)
    while batch := list(islice(rest, _BATCH)):
        yield batch


class HeartbeatStep(bootsteps.StartStopStep):
    """Beats from the first receive until the consumer is shut down, which is after its last task: a warm shutdown
    `stop`s the steps first, then waits for the pool, and then calls `shutdown`."""

    requires = (Tasks,)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._heartbeat: Heartbeat | None = None

    def start(self, consumer: Any) -> None:
        self.shutdown(consumer)
        self._heartbeat = consumer.task_consumer.channel.heartbeat
        self._heartbeat.start()

    def stop(self, consumer: Any) -> None: ...

    def shutdown(self, consumer: Any) -> None:  # noqa: ARG002
        if self._heartbeat is not None:
            self._heartbeat.end()
