"""kombu's SQS transport, made patient: no answer of SQS ends the worker, and no message that cannot be run does."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cached_property
from typing import Any

import pycurl
from amqp.protocol import queue_declare_ok_t
from botocore.exceptions import BotoCoreError, ClientError
from kombu.asynchronous.aws.connection import AsyncHTTPSConnection
from kombu.asynchronous.aws.sqs.connection import AsyncSQSConnection
from kombu.asynchronous.http.curl import CurlClient
from kombu.transport import SQS

from penstock.adapters.celery.wire_format import Poison, dead_letter_request, printable, read
from penstock.records.backoff import backoff
from penstock.services import Limits
from penstock.worker.prefetch import AdaptivePrefetch
from penstock.worker.visibility import Heartbeat

logger = logging.getLogger(__name__)

_FAILED = -1
_AFTER = 0.01
"""Seconds between the end of a task and the request for more: first the process gets one of those that wait."""
_LOOK = 0.05
"""Seconds between looks at what is on its way."""


class HttpClient(CurlClient):
    """kombu takes the milliseconds of curl's timer for seconds, so that each request leaves an entry in the hub's timer
    for hours. It looks after curl once a second anyway; only shorter times need an entry of their own."""

    def _set_timeout(self, msecs: int) -> None:
        if 0 <= msecs < 1000:  # noqa: PLR2004 - a second
            self.hub.call_later(msecs / 1000, self._timeout_check)  # type: ignore[attr-defined]

    def close(self) -> None:
        """The hub closes, as the last task is done: wait for the requests that are on their way, each of which has a
        time limit. SQS may give messages even to a connection that nobody listens to any more."""
        while not self._closed and len(self._free_list) < len(self._curls):  # type: ignore[attr-defined]
            self._multi.select(_LOOK)
            self._timeout_check()  # type: ignore[attr-defined]
        super().close()


class HttpConnection(AsyncHTTPSConnection):
    """kombu computes time limits and never hands them to curl: a connection that went silent would hang for ever."""

    def __init__(self, connect: float, answer: float, **options: Any) -> None:
        super().__init__(**options)
        self._connect = connect
        self._answer = answer

    def getrequest(self) -> Any:
        request = super().getrequest()
        request.on_prepare = self._limit
        return request

    def _limit(self, curl: pycurl.Curl) -> None:
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.CONNECTTIMEOUT_MS, int(self._connect * 1000))
        curl.setopt(pycurl.TIMEOUT_MS, int(self._answer * 1000))


class Receiver(AsyncSQSConnection):
    """Receives messages. Whatever is no proper answer is None."""

    def __init__(self, connect: float, answer: float, **options: Any) -> None:
        super().__init__(**options)
        self._connect = connect
        self._answer = answer

    def get_http_connection(self) -> HttpConnection:
        return HttpConnection(self._connect, self._answer, http_client=self._httpclient)

    def _on_list_ready(self, parent: Any, markers: Any, operation: str, response: Any) -> dict[str, Any] | None:
        try:
            parsed = super()._on_list_ready(parent, markers, operation, response)  # type: ignore[misc]
        except Exception as failure:  # noqa: BLE001 - a body that is none, a status that kombu has no case for
            logger.warning("%s: %s", operation, failure)
            return None
        if isinstance(parsed, dict):
            return parsed
        logger.warning("%s: answer %s %s", operation, response.status, response.reason)
        return None


class Channel(SQS.Channel):
    """Consumes the stage queues. A message leaves its queue when its task is done or when it can never be run (then it
    is in the dead-letter queue, with the reason); else only its visibility is changed, and SQS alone redelivers (I4).

    Transport options, beside kombu's: `visibility`, `answer` and `pause` in seconds, and `dead_letters`, the URL of the
    dead-letter queue of each queue.
    """

    QoS = AdaptivePrefetch  # type: ignore[assignment]  # the stubs have it the base class itself

    hub: Any
    do_restore = False  # the heartbeat hands back what is left

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._full: list[str] = []

    @cached_property
    def heartbeat(self) -> Heartbeat:
        return Heartbeat(self.sqs(), self.transport_options["visibility"])

    def sqs(self, queue: str | None = None) -> Any:  # noqa: ARG002
        """One client for all queues: they are of one account and region."""
        return super().sqs()

    def asynsqs(self, queue: str | None = None) -> Receiver:  # noqa: ARG002
        return self._receiver

    @cached_property
    def _receiver(self) -> Receiver:
        return Receiver(
            connect=self.transport_options["answer"],
            answer=self.wait_time_seconds + self.transport_options["answer"],
            sqs_connection=self.sqs(),
            region=self.region,
            http_client=HttpClient(self.hub, max_clients=max(10, len(self.predefined_queues))),
        )

    def queue_declare(self, queue: str | None = None, passive: bool = False, **options: Any) -> queue_declare_ok_t:  # noqa: ARG002
        """The queues are there; kombu would ask SQS for the size of each, and end the worker if it did not answer."""
        return queue_declare_ok_t(queue or "", 0, 0)

    def _schedule_queue(self, queue: str) -> None:
        """Ask for more messages of this queue, now if there is room for them. kombu looks again and again instead."""
        if not self.qos.can_consume():
            self._full.append(queue)
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

    def _on_messages_ready(self, url: str, queue: str, answer: dict[str, Any] | None) -> int:
        """How many were received. Never raises: the queue would not be polled again."""
        if answer is None:
            return _FAILED
        # What comes without its receipt handle cannot be answered for, and comes again.
        messages = [each for each in answer.get("Messages") or () if "ReceiptHandle" in each and "Body" in each]
        deliver = (self.connection._callbacks or {}).get(queue)
        for message in messages:
            try:
                self._take(url, queue, message, deliver)
            except Exception:
                logger.exception("A message of %s could not be taken; it comes again", queue)
                self.return_message(message["ReceiptHandle"], self.transport_options["visibility"])
        return len(messages)

    def _take(self, url: str, queue: str, message: dict[str, Any], deliver: Callable[[object], object] | None) -> None:
        receipt = message["ReceiptHandle"]
        self.heartbeat.hold(receipt, url)
        if deliver is None:  # it came after the consumer was cancelled
            self.heartbeat.return_message(receipt, 0)
            return
        info = {"exchange": "", "routing_key": queue, "sqs_message": message, "sqs_queue": url}
        try:
            delivery = read(message["Body"]).delivery(receipt, info)
        except Poison as poison:
            self.heartbeat.forget(receipt)
            self._dead_letter(url, queue, message, str(poison))
            return
        deliver(delivery)

    def _dead_letter(self, url: str, queue: str, message: dict[str, Any], reason: str) -> None:
        """To the dead-letter queue as it came, with the reason. Where that fails it comes again, and is tried again."""
        logger.error("Message %s of %s is dead: %s", message.get("MessageId"), queue, printable(reason))
        try:
            dead = self.transport_options["dead_letters"][queue]
            self.sqs().send_message(**dead_letter_request(dead, message["Body"], reason))
            self.sqs().delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        except (BotoCoreError, ClientError) as failure:
            logger.warning("It could not be moved: %s", failure)

    def basic_ack(self, delivery_tag: str, multiple: bool = False) -> None:  # noqa: ARG002
        """Delete the message."""
        self.qos.ack(delivery_tag)
        self.heartbeat.delete(delivery_tag)
        self._has_room()

    def basic_reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Leave the message in its queue: visible at once where `requeue` (its process died), else after a back-off
        that grows with the times it was received. Never deletes."""
        attributes = self.qos.get(delivery_tag).delivery_info["sqs_message"].get("Attributes", {})
        received = attributes.get("ApproximateReceiveCount", 1)
        self.return_message(delivery_tag, 0 if requeue else backoff(Limits(), int(received)).total_seconds())

    def return_message(self, delivery_tag: str, delay: float) -> None:
        """Leave the message in its queue, visible after so many seconds."""
        self.qos.ack(delivery_tag)
        self.heartbeat.return_message(delivery_tag, delay)
        self._has_room()

    def _has_room(self) -> None:
        full, self._full = self._full, []
        for queue in full:
            self.hub.call_later(_AFTER, self._schedule_queue, queue)


class Transport(SQS.Transport):
    Channel = Channel
