"""Heartbeat: what this worker has received stays invisible to others until it lets go of it, and how it lets go."""

from __future__ import annotations

import encodings.idna  # noqa: F401 - what its thread imported while a pool process is forked stays locked there for ever
import logging
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

from celery import bootsteps
from celery.worker.consumer.tasks import Tasks

from penstock.adapters.celery.wire_format import LONGEST

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

logger = logging.getLogger(__name__)

_BATCH = 10
_TOGETHER = 0.02
"""Seconds. What is told within them goes into one request; and whoever is done gets its next task first."""
_TRIES = 2
"""Beside those of the client itself. Together they take less than two thirds of the visibility."""
_PATIENCE = 5
"""Seconds that the end of a worker waits for SQS to take back what was held; else it comes back by itself."""


@dataclass(slots=True)
class _Held:
    queue: str
    end: float = math.inf
    """On the monotonic clock: when whoever works on it should be dead."""


@dataclass(frozen=True, slots=True)
class _Change:
    """What SQS shall be told of a message."""

    receipt: str
    queue: str
    visible_in: int | None
    """Seconds; None deletes it."""


class Heartbeat:
    """What a channel has received and not let go of stays invisible. One thread alone speaks of that to SQS, so a delay
    that was set is never overtaken by an extension that was on its way; and what it is told while it waits for an
    answer goes into one request."""

    def __init__(self, client: SQSClient, visibility: int) -> None:
        """`visibility`: seconds for which a message is hidden when received, and again every third of that."""
        self._client = client
        self._visibility = visibility
        self._lock = Lock()
        self._held: dict[str, _Held] = {}
        self._told: SimpleQueue[_Change | None] = SimpleQueue()
        self._thread = Thread(target=self._beat, name="heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def hold(self, receipt: str, queue: str) -> None:
        """Keep this message of the queue with this URL invisible from here on."""
        with self._lock:
            self._held[receipt] = _Held(queue)

    def begin(self, receipt: str, most: float) -> None:
        """Its task runs from here on, for at most so many seconds: should its process then still be there, it is stuck,
        and another shall have the message."""
        with self._lock:
            if receipt in self._held:
                self._held[receipt].end = monotonic() + most

    def forget(self, receipt: str) -> str | None:
        """Its queue's URL; None where it is not held."""
        with self._lock:
            held = self._held.pop(receipt, None)
        return held.queue if held else None

    def return_message(self, receipt: str, delay: float) -> None:
        """Let go of it, and make it visible after so many seconds."""
        queue = self.forget(receipt)
        if queue is not None:
            self._told.put(_Change(receipt, queue, min(max(0, math.ceil(delay)), LONGEST)))

    def delete(self, receipt: str) -> None:
        """Let go of it for good. Where that fails it comes again, and its stage is found done."""
        queue = self.forget(receipt)
        if queue is not None:
            self._told.put(_Change(receipt, queue, None))

    def return_unstarted(self) -> None:
        """Hand back, at once, all whose task has not begun."""
        with self._lock:
            waiting = [receipt for receipt, held in self._held.items() if held.end == math.inf]
        for receipt in waiting:
            self.return_message(receipt, 0)

    def end(self) -> None:
        """Hand back all that is held, at once, and end the thread."""
        with self._lock:
            held = list(self._held)
        for receipt in held:
            self.return_message(receipt, 0)
        self._told.put(None)
        if self._thread.is_alive():
            self._thread.join(_PATIENCE)

    def _beat(self) -> None:
        every = self._visibility / 3
        due = monotonic() + every
        while True:
            if monotonic() >= due:
                self._extend()
                due = monotonic() + every
            try:
                told = [self._told.get(timeout=max(0, due - monotonic()))]
            except Empty:
                continue
            sleep(_TOGETHER)
            with suppress(Empty):
                while told[-1] is not None:
                    told.append(self._told.get_nowait())
            self._tell([change for change in told if change is not None], tries=_TRIES)
            if told[-1] is None:
                return

    def _extend(self) -> None:
        now = monotonic()
        with self._lock:
            stuck = [receipt for receipt, held in self._held.items() if held.end <= now]
            for receipt in stuck:
                del self._held[receipt]
            held = [_Change(receipt, held.queue, self._visibility) for receipt, held in self._held.items()]
        if stuck:
            logger.error("%d messages are held no longer: their tasks should have been ended", len(stuck))
        self._tell(held, tries=1)

    def _tell(self, changes: Iterable[_Change], tries: int) -> None:
        alike: dict[tuple[str, bool], list[_Change]] = defaultdict(list)
        for change in changes:
            alike[change.queue, change.visible_in is None].append(change)
        for (queue, deletes), found in alike.items():
            for batch in _batches(found):
                self._tell_batch(self._delete if deletes else self._set, queue, batch, tries)

    def _tell_batch(
        self, call: Callable[[str, list[_Change]], Any], queue: str, batch: list[_Change], tries: int
    ) -> None:
        for left in reversed(range(tries)):
            try:
                failures = _failures(call(queue, batch))
            except Exception as failure:  # noqa: BLE001 - nothing may end this thread: what is held would become visible
                logger.warning("SQS was not told of messages in %s (%d more tries): %s", queue, left, failure)
            else:
                for failed in failures:
                    self._refused(batch[int(failed["Id"])], failed.get("Message", failed["Code"]))
                return

    def _set(self, queue: str, batch: list[_Change]) -> Any:
        return self._client.change_message_visibility_batch(
            QueueUrl=queue,
            Entries=[
                {"Id": str(n), "ReceiptHandle": change.receipt, "VisibilityTimeout": change.visible_in or 0}
                for n, change in enumerate(batch)
            ],
        )

    def _delete(self, queue: str, batch: list[_Change]) -> Any:
        return self._client.delete_message_batch(
            QueueUrl=queue,
            Entries=[{"Id": str(n), "ReceiptHandle": change.receipt} for n, change in enumerate(batch)],
        )

    def _refused(self, change: _Change, why: str) -> None:
        """One that was let go of meanwhile is deleted or handed back, and the refusal of an extension means nothing."""
        with self._lock:
            held = change.receipt in self._held
        if held or change.visible_in is None:
            logger.warning("A message in %s was not %s: %s", change.queue, "kept" if held else "deleted", why)


def _failures(answer: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """
    Raises:
        ValueError: it is no answer, and only looked like one.
    """
    if not answer.keys() & {"Successful", "Failed"}:
        raise ValueError("the answer says nothing of any message")
    failures: Sequence[Mapping[str, Any]] = answer.get("Failed", ())
    return failures


def _batches(changes: Iterable[_Change]) -> Iterable[list[_Change]]:
    rest = iter(changes)
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

    def stop(self, consumer: Any) -> None:  # noqa: ARG002
        """What waits for a process would wait for those that finish, and then be handed back."""
        if self._heartbeat is not None:
            self._heartbeat.return_unstarted()

    def shutdown(self, consumer: Any) -> None:  # noqa: ARG002
        if self._heartbeat is not None:
            self._heartbeat.end()
