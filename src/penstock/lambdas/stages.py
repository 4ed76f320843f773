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
from penstock.adapters.celery.wire_format import MAX_VISIBILITY, Envelope, Poison, decode
from penstock.celery_app.app import make_app
from penstock.celery_app.metrics import with_metrics
from penstock.celery_app.redelivery import dead_letter_poison, delay_after_failure
from penstock.celery_app.request import RedeliverAfter
from penstock.domain.errors import Misconfigured
from penstock.domain.task import QUEUES, Message
from penstock.lambdas.batch import Event, Failures, LambdaContext, Record, each_record
from penstock.pipeline.run import KeepLease, Outcome, Run, run
from penstock.reading.sandbox.confine import undumpable
from penstock.records.claim import Claim
from penstock.services import Services, StopRequest
from penstock.settings import Settings
from penstock.telemetry.context import log_context
from penstock.telemetry.logs_and_metrics import log_json
from penstock.wiring import services

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

log = logging.getLogger(__name__)

CHECKPOINT_BEFORE_END = timedelta(minutes=2)
"""The part of an invocation that is kept for the last shard and the checkpoint after it."""
MARGIN = timedelta(seconds=30)
"""A lease ends this long after the invocation. All writes of the invocation are over by then."""
_MIN_TIME_LEFT = timedelta(seconds=10)
"""With less time than this left, no further message of the batch is started."""
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

    The lease of a claim lasts as long as the invocation may, so it needs no renewal. Work that is not finished by then
    stops at a checkpoint, and its message comes again (see `Services.stop_request`).
    """

    def __init__(
        self,
        settings: Settings,
        services: Callable[[], Services],
        sqs: SQSClient,
        run: Run = run,
        *,
        checkpoint_before_end: timedelta = CHECKPOINT_BEFORE_END,
        margin: timedelta = MARGIN,
    ) -> None:
        self._app = make_app(settings, services, run=self._run_within_invocation)
        self._sqs = sqs
        self._run = run
        self._checkpoint_before_end = checkpoint_before_end
        self._margin = margin
        # An event names its queue by an ARN, which ends as the queue's URL does.
        self._queues = {url.rsplit("/", 1)[-1]: (name, url) for name, url in settings.queues.items() if name in QUEUES}
        self._dead_letters = settings.dead_letters
        self._context: LambdaContext | None = None

    def __call__(self, event: Event, context: LambdaContext) -> Failures:
        self._context = context
        with log_context(request=context.aws_request_id):
            return each_record(event, self._process)

    def _run_within_invocation(self, services: Services, message: Message, keep: KeepLease) -> Outcome:  # noqa: ARG002 - nothing to renew
        limited = replace(
            services,
            limits=replace(services.limits, lease=self._time_left() + self._margin),
            stop_request=self._stop_request,
        )
        return self._run(limited, message, _keep_without_renewal)

    def _stop_request(self) -> StopRequest | None:
        return _LIMIT if self._time_left() <= self._checkpoint_before_end else None

    def _time_left(self) -> timedelta:
        assert self._context is not None, "tasks run within an invocation"
        return timedelta(milliseconds=self._context.get_remaining_time_in_millis())

    def _process(self, record: Record) -> bool:
        """Run the message. Return whether it is to be deleted; otherwise its visibility was set."""
        queue, url = self._queue(record)
        try:
            envelope = decode(record["body"])
        except Poison as poison:
            dead_letter_url = self._dead_letters[queue.partition("-")[0]]
            return dead_letter_poison(self._sqs, dead_letter_url, record["messageId"], record["body"], str(poison))
        delay = 0.0 if self._time_left() < _MIN_TIME_LEFT else self._run_task(envelope, record)
        if delay is not None:
            self._set_visibility(url, record, delay)
        return delay is None

    def _run_task(self, envelope: Envelope, record: Record) -> float | None:
        """Run the task. Return the delay, in seconds, after which its message shall come again, or None if the task is
        done."""
        payload = envelope.delivery(record["receiptHandle"], {})
        delivery = Delivery(
            body=payload["body"],
            content_type=payload["content-type"],
            content_encoding=payload["content-encoding"],
            headers=payload["headers"],
            properties=payload["properties"],
            delivery_tag=record["receiptHandle"],
        )
        acks: list[object] = []
        request = Request(delivery, app=self._app, hostname="lambda", on_ack=lambda *ack: acks.append(ack))
        result = request.execute()
        if acks:
            return None
        error = getattr(result, "exception", None)
        error = getattr(error, "exc", error)  # billiard wraps it together with its trace
        return error.delay if isinstance(error, RedeliverAfter) else delay_after_failure(record.get("attributes", {}))

    def _set_visibility(self, url: str, record: Record, delay: float) -> None:
        try:
            self._sqs.change_message_visibility(
                QueueUrl=url,
                ReceiptHandle=record["receiptHandle"],
                VisibilityTimeout=min(math.ceil(delay), MAX_VISIBILITY),
            )
        except (BotoCoreError, ClientError) as failure:
            # The message comes again all the same, when its queue's own visibility ends.
            log.warning("The visibility of message %s was not set: %s", record["messageId"], failure)

    def _queue(self, record: Record) -> tuple[str, str]:
        """The name and the URL of the queue from which the message came."""
        arn = record["eventSourceARN"]
        try:
            return self._queues[arn.rsplit(":", 1)[-1]]
        except KeyError:
            raise Misconfigured(why=f"{arn} is none of the queues in PENSTOCK_QUEUES.") from None


def _keep_without_renewal(services: Services, claim: Claim) -> AbstractContextManager[None]:  # noqa: ARG001 - as KeepLease has it
    """Do nothing: the lease is as long as the invocation."""
    return nullcontext()
