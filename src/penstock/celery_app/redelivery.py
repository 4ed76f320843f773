"""What becomes of a message whose task did not end well, in a worker and in a Lambda function alike (I4)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from penstock.adapters.celery.wire_format import clean_reason, reason_attributes
from penstock.records.backoff import backoff
from penstock.services import Limits

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

logger = logging.getLogger(__name__)

_LIMITS = Limits()
"""The defaults: a task that failed outside of the pipeline may have no services, and so no limits of its own."""


def delay_after_failure(attributes: Mapping[str, str]) -> float:
    """The delay, in seconds, of a message whose task failed without naming one. It grows with the number of receives.

    Args:
        attributes: the system attributes of the message, as SQS names them.
    """
    return backoff(_LIMITS, int(attributes.get("ApproximateReceiveCount", 1))).total_seconds()


def dead_letter_poison(sqs: SQSClient, dead_letter_url: str, message_id: str | None, body: str, reason: str) -> bool:
    """Send a message that can never be run to a dead-letter queue, unchanged and with the reason.

    Returns:
        Whether it was sent. If it was, the caller deletes it from its own queue. If it was not, the caller leaves it
        there: SQS redelivers it, and the next receiver tries again.
    """
    logger.error("Message %s is sent to %s: %s", message_id, dead_letter_url, clean_reason(reason))
    try:
        sqs.send_message(QueueUrl=dead_letter_url, MessageBody=body, MessageAttributes=reason_attributes(reason))
    except (BotoCoreError, ClientError) as failure:
        logger.warning("Message %s was not sent to the dead-letter queue: %s", message_id, failure)
        return False
    return True
