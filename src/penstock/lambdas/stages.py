"""The stage queues in Lambda: each message runs the Celery task that a worker would run."""

from __future__ import annotations

from penstock.lambdas.cold_start import per_container

# isort: split

import logging
import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError
from celery.worker.request import Request
from kombu.message import Message as Delivery

from penstock.adapters.aws.clients import aws_clients
from penstock.adapters.celery.wire_format import LONGEST, Envelope, Poison, dead_letter_request, printable, read
from penstock.celery_app.app import make_app
from penstock.celery_app.metrics import with_metrics
from penstock.celery_app.request import RedeliverAfter
from penstock.domain.errors import Misconfigured
from penstock.domain.task import QUEUES, Message
from penstock.lambdas.batch import Event, Failures, LambdaContext, Record, each_record
from penstock.pipeline.run import KeepLease, Outcome, Run, run
from penstock.reading.sandbox.confine import undumpable
from penstock.records.backoff import backoff
from penstock.records.claim import Claim
from penstock.services import Limits, Services, StopRequest
from penstock.settings import Settings
from penstock.telemetry.context import log_context
from penstock.telemetry.logs_and_metrics import log_json
from penstock.wiring import services

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

log = logging.getLogger(__name__)

HAND_ON = timedelta(minutes=2)
"""Before the end of the invocation: what a shard more, and the hand-on itself, may take."""
MARGIN = timedelta(seconds=30)
"""A lease ends so long after the invocation does, whose writes are all out by then."""
_TOO_LATE = timedelta(seconds=10)
"""With less time than this left, no message of the batch is begun."""
_LIMIT = StopRequest(
    "one run of a Lambda function may", "Let workers without that limit read it (deploy with Workers=ecs)"
)


@per_container
def consumer() -> Consumer:
    log_json()
    undumpable()
    settings = Settings.from_environment()
    clients = aws_clients(publish_retries=settings.publish_retries)
    made = services(settings, clients=clients)
    return Consumer(settings, lambda: made, clients.sqs, with_metrics(run))


def handler(event: Event, context: LambdaContext) -> Failures:
    return consumer()(event, context)


class Consumer:
    """Runs the messages of a batch, one after the other.

    The lease of a claim lasts as long as the invocation may, so nothing need renew it; and what was not finished by
    then is handed on (see `Services.stop_request`).
    """

    def __init__(
        self,
        settings: Settings,
        services: Callable[[], Services],
        sqs: SQSClient,
        run: Run = run,
        *,
        checkpoint: timedelta = HAND_ON,
        margin: timedelta = MARGIN,
    ) -> None:
        self._app = make_app(settings, services, run=self._bounded)
        self._sqs = sqs
        self._run = run
        self._hand_on = checkpoint
        self._margin = margin
        # An event names its queue by an ARN, which ends as the queue's URL does.
        self._stages = {url.rsplit("/", 1)[-1]: (name, url) for name, url in settings.queues.items() if name in QUEUES}
        self._dead_letters = settings.dead_letters
        self._context: LambdaContext | None = None

    def __call__(self, event: Event, context: LambdaContext) -> Failures:
        self._context = context
        with log_context(request=context.aws_request_id):
            return each_record(event, self._done)

    def _bounded(self, services: Services, message: Message, keep: KeepLease) -> Outcome:  # noqa: ARG002 - nothing to renew
        bounded = replace(
            services,
            limits=replace(services.limits, lease=self._left() + self._margin),
            stop_request=self._stop_request,
        )
        return self._run(bounded, message, _kept)

    def _stop_request(self) -> StopRequest | None:
        return _LIMIT if self._left() <= self._hand_on else None

    def _left(self) -> timedelta:
        assert self._context is not None, "tasks run within an invocation"
        return timedelta(milliseconds=self._context.get_remaining_time_in_millis())

    def _done(self, record: Record) -> bool:
        """Whether the message shall be deleted; else it is visible again when it shall be."""
        queue, url = self._queue(record)
        try:
            envelope = read(record["body"])
        except Poison as poison:
            return self._buried(queue, record, str(poison))
        delay = 0.0 if self._left() < _TOO_LATE else self._again(envelope, record)
        if delay is not None:
            self._hand_back(url, record, delay)
        return delay is None

    def _again(self, envelope: Envelope, record: Record) -> float | None:
        """Run the task. After how many seconds it shall come again; None where it is done."""
        told = envelope.delivery(record["receiptHandle"], {})
        delivery = Delivery(
            body=told["body"],
            content_type=told["content-type"],
            content_encoding=told["content-encoding"],
            headers=told["headers"],
            properties=told["properties"],
            delivery_tag=record["receiptHandle"],
        )
        acknowledged: list[object] = []
        request = Request(delivery, app=self._app, hostname="lambda", on_ack=lambda *told: acknowledged.append(told))
        result = request.execute()
        if acknowledged:
            return None
        error = getattr(result, "exception", None)
        error = getattr(error, "exc", error)  # billiard wraps it together with its trace
        if isinstance(error, RedeliverAfter):
            return error.delay
        received = int(record.get("attributes", {}).get("ApproximateReceiveCount", 1))
        return backoff(Limits(), received).total_seconds()

    def _hand_back(self, url: str, record: Record, delay: float) -> None:
        try:
            self._sqs.change_message_visibility(
                QueueUrl=url,
                ReceiptHandle=record["receiptHandle"],
                VisibilityTimeout=min(math.ceil(delay), LONGEST),
            )
        except (BotoCoreError, ClientError) as failure:
            # It comes again all the same: when its queue's own visibility ends.
            log.warning("visibility of message %s not set: %s", record["messageId"], failure)

    def _buried(self, queue: str, record: Record, reason: str) -> bool:
        """To the dead-letter queue as it came, with the reason. Where that fails it comes again, and is tried again."""
        log.error("message %s of %s is dead: %s", record["messageId"], queue, printable(reason))
        try:
            dead = self._dead_letters[queue.partition("-")[0]]
            self._sqs.send_message(**dead_letter_request(dead, record["body"], reason))
        except (BotoCoreError, ClientError) as failure:
            log.warning("it could not be moved: %s", failure)
            return False
        return True

    def _queue(self, record: Record) -> tuple[str, str]:
        arn = record["eventSourceARN"]
        try:
            return self._stages[arn.rsplit(":", 1)[-1]]
        except KeyError:
            raise Misconfigured(why=f"{arn} is none of the queues in PENSTOCK_QUEUES.") from None


def _kept(services: Services, claim: Claim) -> AbstractContextManager[None]:  # noqa: ARG001 - what a keeper is given
    """The lease is as long as the invocation: nothing renews it, and so nothing has to be stopped."""
    return nullcontext()
