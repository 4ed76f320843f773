"""The task queues on SQS. Messages are sent in Celery's wire format, but without Celery, which takes long to import."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from penstock.adapters.aws.failures import translated
from penstock.adapters.celery.wire_format import PING_TASK, encode, reason_attributes, task_name
from penstock.domain.ids import TenantId
from penstock.domain.task import Lane, Message, Stage, queue_name

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

_LONGEST_DELAY = timedelta(minutes=15)


class SqsTaskQueue:
    """The port `TaskQueue` on SQS."""

    def __init__(self, client: SQSClient, queues: Mapping[str, str], dead_letters: Mapping[str, str]) -> None:
        """
        Args:
            queues: the URL of each queue in `task.QUEUES`, by its name.
            dead_letters: the URL of the dead-letter queue of each stage.
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
                MessageBody=encode(task_name(message.stage), message.arguments(), queue),
                MessageGroupId=message.tenant,  # fair queues: a tenant's backlog does not delay the others
                DelaySeconds=math.ceil(delay.total_seconds()),
            )

    def dead_letter(self, message: Message, reason: str) -> None:
        with translated("SQS"):
            self._client.send_message(
                QueueUrl=self._dead_letters[message.stage],
                MessageBody=encode(task_name(message.stage), message.arguments(), f"{message.stage}-dead"),
                MessageGroupId=message.tenant,
                MessageAttributes=reason_attributes(reason),
            )

    def dead_letter_counts(self) -> Mapping[Stage, int]:
        with translated("SQS"):
            return {stage: self._visible_count(self._dead_letters[stage]) for stage in Stage}

    def _visible_count(self, url: str) -> int:
        name: Literal["ApproximateNumberOfMessages"] = "ApproximateNumberOfMessages"
        return int(self._client.get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"][name])

    def ping(self, tenant: TenantId, ping: str, lane: Lane) -> None:
        queue = queue_name(Stage.EXTRACT, lane)
        with translated("SQS"):
            self._client.send_message(
                QueueUrl=self._queues[queue],
                MessageBody=encode(PING_TASK, {"tenant": tenant, "ping": ping}, queue),
                MessageGroupId=tenant,
            )

    def check(self) -> None:
        with translated("SQS"):
            for url in (*self._queues.values(), *self._dead_letters.values()):
                self._client.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
