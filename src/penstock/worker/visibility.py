"""The visibility of the messages that this worker holds: a heartbeat keeps them invisible to others until they are
deleted or returned."""

from __future__ import annotations

import encodings.idna  # noqa: F401 - a module that the thread imports while a process is forked stays locked there for ever
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

from penstock.adapters.celery.wire_format import MAX_VISIBILITY

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

logger = logging.getLogger(__name__)

_BATCH = 10
"""The maximum number of messages in one request to SQS."""
_GATHER_SECONDS = 0.02
"""Changes that come within this time, in seconds, go into one request. Meanwhile an idle process gets its next task."""
_TRIES = 2
"""The number of tries, each with the retries of the client itself. All together take less than two thirds of the
visibility."""
_END_SECONDS = 5
"""The end of a worker waits at most this long, in seconds, for SQS to take back the messages. Without that, they come
back when their visibility ends."""


@dataclass(slots=True)
class _Held:
    """A message that this worker holds."""

    queue: str
    """The URL of its queue."""
    end: float = math.inf
    """The time on the monotonic clock after which the process with its task should be dead. It is infinite until the
    task starts."""


@dataclass(frozen=True, slots=True)
class _Change:
    """A change of a message that is to be sent to SQS: a new visibility or the deletion."""

    receipt: str
    queue: str
    visible_in: int | None
    """The time, in seconds, after which the message becomes visible. None deletes it."""


class Heartbeat:
    """Keeps the messages that a channel holds invisible, and deletes or returns them.

    One thread alone sends these changes to SQS, so that an extension on its way never overtakes a delay that was set
    later; and the changes that come while the thread waits for an answer go into one request.
    """

    def __init__(self, client: SQSClient, visibility: int) -> None:
        """`visibility` is the time, in seconds, for which a received message is hidden. The heartbeat hides it again
        every third of that."""
        self._client = client
        self._visibility = visibility
        self._lock = Lock()
        self._held: dict[str, _Held] = {}
        self._changes: SimpleQueue[_Change | None] = SimpleQueue()
        self._thread = Thread(target=self._beat, name="heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def hold(self, receipt: str, queue: str) -> None:
        """Keep this message, of the queue with this URL, invisible from now on."""
        with self._lock:
            self._held[receipt] = _Held(queue)

    def task_started(self, receipt: str, time_limit: float) -> None:
        """Hold this message for at most `time_limit` seconds more, as its task has started. A process that is still
        alive then is stuck, and another worker shall get the message."""
        with self._lock:
            if receipt in self._held:
                self._held[receipt].end = monotonic() + time_limit

    def forget(self, receipt: str) -> str | None:
        """Stop holding this message, and return the URL of its queue, or None if it was not held."""
        with self._lock:
            held = self._held.pop(receipt, None)
        return held.queue if held else None

    def return_message(self, receipt: str, delay: float) -> None:
        """Stop holding this message, and make it visible after this delay, in seconds."""
        queue = self.forget(receipt)
        if queue is not None:
            self._changes.put(_Change(receipt, queue, min(max(0, math.ceil(delay)), MAX_VISIBILITY)))

    def delete(self, receipt: str) -> None:
        """Stop holding this message, and delete it. If that fails, SQS redelivers it, and its stage is found done."""
        queue = self.forget(receipt)
        if queue is not None:
            self._changes.put(_Change(receipt, queue, None))

    def return_unstarted(self) -> None:
        """Return, without delay, all messages whose tasks have not started."""
        with self._lock:
            unstarted = [receipt for receipt, held in self._held.items() if held.end == math.inf]
        for receipt in unstarted:
            self.return_message(receipt, 0)

    def end(self) -> None:
        """Return, without delay, all messages that are held, and end the thread."""
        with self._lock:
            held = list(self._held)
        for receipt in held:
            self.return_message(receipt, 0)
        self._changes.put(None)
        if self._thread.is_alive():
            self._thread.join(_END_SECONDS)

    def _beat(self) -> None:
        every = self._visibility / 3
        next_beat = monotonic() + every
        while True:
            if monotonic() >= next_beat:
                self._extend()
                next_beat = monotonic() + every
            try:
                gathered = [self._changes.get(timeout=max(0, next_beat - monotonic()))]
            except Empty:
                continue
            sleep(_GATHER_SECONDS)
            with suppress(Empty):
                while gathered[-1] is not None:
                    gathered.append(self._changes.get_nowait())
            self._send([change for change in gathered if change is not None], tries=_TRIES)
            if gathered[-1] is None:
                return

    def _extend(self) -> None:
        now = monotonic()
        with self._lock:
            stuck = [receipt for receipt, held in self._held.items() if held.end <= now]
            for receipt in stuck:
                del self._held[receipt]
            extensions = [_Change(receipt, held.queue, self._visibility) for receipt, held in self._held.items()]
        if stuck:
            logger.error("%d messages are no longer held: the processes of their tasks should be dead", len(stuck))
        self._send(extensions, tries=1)

    def _send(self, changes: Iterable[_Change], tries: int) -> None:
        groups: dict[tuple[str, bool], list[_Change]] = defaultdict(list)
        for change in changes:
            groups[change.queue, change.visible_in is None].append(change)
        for (queue, deletes), group in groups.items():
            request = self._request_deletion if deletes else self._request_visibility
            for batch in _batches(group):
                self._send_batch(request, queue, batch, tries)

    def _send_batch(
        self, request: Callable[[str, list[_Change]], Any], queue: str, batch: list[_Change], tries: int
    ) -> None:
        for tries_left in reversed(range(tries)):
            try:
                failures = _failures(request(queue, batch))
            except Exception as failure:  # noqa: BLE001 - without this thread, the held messages would become visible
                logger.warning("A request to SQS for %s failed (%d more tries): %s", queue, tries_left, failure)
            else:
                for failed in failures:
                    self._log_refusal(batch[int(failed["Id"])], failed.get("Message", failed["Code"]))
                return

    def _request_visibility(self, queue: str, batch: list[_Change]) -> Any:
        return self._client.change_message_visibility_batch(
            QueueUrl=queue,
            Entries=[
                {"Id": str(n), "ReceiptHandle": change.receipt, "VisibilityTimeout": change.visible_in or 0}
                for n, change in enumerate(batch)
            ],
        )

    def _request_deletion(self, queue: str, batch: list[_Change]) -> Any:
        return self._client.delete_message_batch(
            QueueUrl=queue,
            Entries=[{"Id": str(n), "ReceiptHandle": change.receipt} for n, change in enumerate(batch)],
        )

    def _log_refusal(self, change: _Change, why: str) -> None:
        """Log it, unless an extension was refused for a message that meanwhile was deleted or returned: that is no
        failure."""
        with self._lock:
            held = change.receipt in self._held
        if held or change.visible_in is None:
            logger.warning("A message in %s was not %s: %s", change.queue, "extended" if held else "deleted", why)


def _failures(answer: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The entries of a batch that SQS refused.

    Raises:
        ValueError: the answer has the status of one, but says nothing of any entry.
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
    """The part of Celery's consumer that runs the heartbeat. Celery loads it by name.

    It starts with the first receive request and ends when the consumer is shut down, which is after the last task: a
    warm shutdown calls `stop` of the steps first, then waits for the pool, and then calls `shutdown`.
    """

    requires = (Tasks,)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._heartbeat: Heartbeat | None = None

    def start(self, consumer: Any) -> None:
        self.shutdown(consumer)
        self._heartbeat = consumer.task_consumer.channel.heartbeat
        self._heartbeat.start()

    def stop(self, consumer: Any) -> None:  # noqa: ARG002
        """Return the messages whose tasks have not started. They would wait until the running tasks are done, and only
        then be returned."""
        if self._heartbeat is not None:
            self._heartbeat.return_unstarted()

    def shutdown(self, consumer: Any) -> None:  # noqa: ARG002
        if self._heartbeat is not None:
            self._heartbeat.end()
