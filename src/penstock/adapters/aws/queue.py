"""The task queues on SQS. Messages are in Celery's wire format, but sent without Celery, which is slow to import.

The format is Celery's task protocol 2 in kombu's SQS envelope, as plain JSON: kombu decodes Base64 only where it finds
it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from penstock.adapters.aws.failures import translated
from penstock.adapters.celery.wire_format import _envelope, _sendable
from penstock.domain.ids import TenantId
from penstock.domain.task import Lane, Message, Stage, queue_name

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

_LONGEST_DELAY = timedelta(minutes=15)


class SqsTaskQueue:
    """A TaskQueue on SQS."""

    def __init__(self, client: SQSClient, queues: Mapping[str, str], dead_letters: Mapping[str, str]) -> None:
        """
        Args:
            queues: the URLs of the queues, by the names in `task.QUEUES`.
            dead_letters: the URLs of the dead-letter queues, by stage.
        """
        self._client = client
        self._queues = queues
        self._dead_letters = dead_letters

    def send(self, message: Message, lane: Lane, *, delay: timedelta = timedelta(0)) -> None:
        if not timedelta(0) <= delay <= _LONGEST_DELAY:
            raise ValueError(delay)
        queue = queue_name(message.stage, lane)
        with translated("SQS"):
            self._client.send_message(
                QueueUrl=self._queues[queue],
                MessageBody=_envelope(f"penstock.{message.stage}", message.arguments(), queue),
                MessageGroupId=message.tenant,  # fair queues: the backlog of a tenant does not delay the others
                DelaySeconds=math.ceil(delay.total_seconds()),
            )

    def dead_letter(self, message: Message, reason: str) -> None:
        with translated("SQS"):
            self._client.send_message(
                QueueUrl=self._dead_letters[message.stage],
                MessageBody=_envelope(f"penstock.{message.stage}", message.arguments(), f"{message.stage}-dead"),
                MessageGroupId=message.tenant,
                MessageAttributes={"reason": {"DataType": "String", "StringValue": _sendable(reason)}},
            )

    def dead_letter_counts(self) -> Mapping[Stage, int]:
        with translated("SQS"):
            return {stage: self._message_count(self._dead_letters[stage]) for stage in Stage}

    def _message_count(self, url: str) -> int:
        name: Literal["ApproximateNumberOfMessages"] = "ApproximateNumberOfMessages"
        return int(self._client.get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"][name])

    def ping(self, tenant: TenantId, ping: str, lane: Lane) -> None:
        queue = queue_name(Stage.EXTRACT, lane)
        with translated("SQS"):
            self._client.send_message(
                QueueUrl=self._queues[queue],
                MessageBody=_envelope("penstock.ping", {"tenant": tenant, "ping": ping}, queue),
                MessageGroupId=tenant,
            )

    def check(self) -> None:
        with translated("SQS"):
            for url in (*self._queues.values(), *self._dead_letters.values()):
                self._client.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
