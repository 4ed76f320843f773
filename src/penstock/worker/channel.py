"""The channel: it receives messages from the stage queues, and acknowledges or returns them.

No answer of SQS ends the worker, and no message that can never be run does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cached_property
from typing import Any

from amqp.protocol import queue_declare_ok_t
from kombu.transport import SQS

from penstock.adapters.celery.wire_format import Poison, decode
from penstock.celery_app.redelivery import dead_letter_poison, delay_after_failure
from penstock.worker.http_client import HttpClient, Receiver
from penstock.worker.prefetch import AdaptivePrefetch
from penstock.worker.visibility import Heartbeat

logger = logging.getLogger(__name__)

_FAILED = -1
"""Stands for the number of messages received when the request failed."""
_PAUSE_AFTER_TASK = 0.01
"""The time, in seconds, between the end of a task and the next receive request. The idle process first gets one of the
messages that are already held."""


class Channel(SQS.Channel):
    """Consumes the stage queues. A message leaves its queue when its task is done, or when it can never be run: then it
    is in the dead-letter queue, with the reason. Otherwise only its visibility is changed, and SQS alone redelivers it
    (I4).

    It has four transport options in addition to kombu's: `visibility`, `answer_timeout` and `pause` are in seconds, and
    `dead_letters` has the URL of the dead-letter queue of each queue.
    """

    QoS = AdaptivePrefetch  # type: ignore[assignment]  # the stubs have it the base class itself

    hub: Any
    do_restore = False  # the heartbeat returns what is left

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._paused_queues: list[str] = []

    @cached_property
    def heartbeat(self) -> Heartbeat:
        return Heartbeat(self.sqs(), self.transport_options["visibility"])

    def sqs(self, queue: str | None = None) -> Any:  # noqa: ARG002
        """The client of all queues: they are of one account and region."""
        return super().sqs()

    def asynsqs(self, queue: str | None = None) -> Receiver:  # noqa: ARG002
        return self._receiver

    @cached_property
    def _receiver(self) -> Receiver:
        return Receiver(
            connect_timeout=self.transport_options["answer_timeout"],
            answer_timeout=self.wait_time_seconds + self.transport_options["answer_timeout"],
            sqs_connection=self.sqs(),
            region=self.region,
            http_client=HttpClient(self.hub, max_clients=max(10, len(self.predefined_queues))),
        )

    def queue_declare(self, queue: str | None = None, passive: bool = False, **options: Any) -> queue_declare_ok_t:  # noqa: ARG002
        """Do nothing: the queues exist. kombu would ask SQS for their sizes, and end the worker without an answer."""
        return queue_declare_ok_t(queue or "", 0, 0)

    # The receive loop: kombu schedules a queue, asks SQS for its messages, and schedules the queue again.

    def _schedule_queue(self, queue: str) -> None:
        """Ask SQS for messages of this queue, or pause the queue while the prefetch limit is reached.

        kombu does not pause it, but looks again and again.
        """
        if not self.qos.can_consume():
            self._paused_queues.append(queue)
            return
        try:
            super()._schedule_queue(queue)  # type: ignore[misc]
        except Exception:
            logger.exception("Receiving from %s failed", queue)
            self._loop1(queue, _FAILED)

    def _loop1(self, queue: str, messages_fetched: int | None = None) -> None:
        if messages_fetched == _FAILED:
            self.hub.call_later(self.transport_options["pause"], self._schedule_queue, queue)
        else:
            super()._loop1(queue, messages_fetched)  # type: ignore[misc]

    def _resume_queues(self) -> None:
        paused, self._paused_queues = self._paused_queues, []
        for queue in paused:
            self.hub.call_later(_PAUSE_AFTER_TASK, self._schedule_queue, queue)

    def _get_from_sqs(
        self, queue_name: Any, queue_url: str, connection: Receiver, count: int = 1, callback: Any = None
    ) -> Any:
        return connection.receive_message(
            queue_name,
            queue_url,
            number_messages=count,
            wait_time_seconds=self.wait_time_seconds,
            visibility_timeout=self.transport_options["visibility"],
            callback=callback,
        )

    def _on_messages_ready(self, queue: str, qname: str, messages: dict[str, Any] | None) -> int:
        """Deliver the messages of an answer. It never raises: the queue would not be polled again.

        Args:
            queue: the URL of the queue.
            qname: the name of the queue.
            messages: the answer of SQS, or None if there was no proper one.

        Returns:
            The number of messages received, or `_FAILED`.
        """
        if messages is None:
            return _FAILED
        # A message without a receipt handle can be neither deleted nor returned; SQS redelivers it.
        received = [each for each in messages.get("Messages") or () if "ReceiptHandle" in each and "Body" in each]
        deliver = (self.connection._callbacks or {}).get(qname)
        for message in received:
            try:
                self._deliver(queue, qname, message, deliver)
            except Exception:
                logger.exception("A message of %s was not delivered; SQS redelivers it", qname)
                self.return_message(message["ReceiptHandle"], self.transport_options["visibility"])
        return len(received)

    def _deliver(
        self, url: str, queue: str, message: dict[str, Any], deliver: Callable[[object], object] | None
    ) -> None:
        receipt = message["ReceiptHandle"]
        self.heartbeat.hold(receipt, url)
        if deliver is None:  # the message arrived after the consumer was cancelled
            self.heartbeat.return_message(receipt, 0)
            return
        try:
            envelope = decode(message["Body"])
        except Poison as poison:
            self._dead_letter(queue, message, str(poison))
            return
        deliver(envelope.delivery(receipt, _delivery_info(url, queue, message)))

    def _dead_letter(self, queue: str, message: dict[str, Any], reason: str) -> None:
        receipt, url = message["ReceiptHandle"], self.transport_options["dead_letters"][queue]
        if dead_letter_poison(self.sqs(), url, message.get("MessageId"), message["Body"], reason):
            self.heartbeat.delete(receipt)
        else:
            self.heartbeat.forget(receipt)

    # The end of a message: it is deleted, or returned to its queue.

    def basic_ack(self, delivery_tag: str, multiple: bool = False) -> None:  # noqa: ARG002
        """Delete the message."""
        self.qos.ack(delivery_tag)
        self.heartbeat.delete(delivery_tag)
        self._resume_queues()

    def basic_reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Return the message to its queue, and never delete it. If `requeue` is true, its process died, and it is
        visible at once; otherwise it is visible after a back-off that grows with the number of receives."""
        attributes = self.qos.get(delivery_tag).delivery_info["sqs_message"].get("Attributes", {})
        self.return_message(delivery_tag, 0 if requeue else delay_after_failure(attributes))

    def return_message(self, delivery_tag: str, delay: float) -> None:
        """Return the message to its queue, where it is visible after this delay, in seconds."""
        self.qos.ack(delivery_tag)
        self.heartbeat.return_message(delivery_tag, delay)
        self._resume_queues()


def _delivery_info(url: str, queue: str, message: dict[str, Any]) -> dict[str, object]:
    """Where the message comes from, as kombu's SQS channel says it."""
    return {"exchange": "", "routing_key": queue, "sqs_message": message, "sqs_queue": url}
