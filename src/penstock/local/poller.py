"""What Lambda does in AWS, in a loop: feed the arrivals queue to its handler."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from penstock.adapters.aws.clients import aws_clients
from penstock.lambdas.arrivals import Handler, make_handler
from penstock.settings import Settings
from penstock.wiring import services

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

log = logging.getLogger(__name__)

_VISIBILITY_SECONDS = 30
_AGAIN_SECONDS = 2
_LONGEST_AGAIN_SECONDS = 60
"""So that the hundred times which a message is received outlast every removal that it waits for."""
_PAUSE_SECONDS = 1


def main() -> None:
    """Until SIGTERM or SIGINT; a batch that was received is finished before."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    settings = Settings()
    handler, sqs = make_handler(services(settings)), aws_clients().sqs
    while not stopped.is_set():
        try:
            _one_batch(sqs, settings, handler)
        except (BotoCoreError, ClientError) as error:
            log.warning("the arrivals queue does not answer: %s", error)
            stopped.wait(_PAUSE_SECONDS)


def _one_batch(sqs: SQSClient, settings: Settings, handler: Handler) -> None:
    """One receive request; what the handler does not name as failed is deleted, what it does comes again soon."""
    received: Sequence[MessageTypeDef] = sqs.receive_message(
        QueueUrl=settings.arrivals,
        MaxNumberOfMessages=10,
        WaitTimeSeconds=min(settings.wait_seconds, 1),
        VisibilityTimeout=_VISIBILITY_SECONDS,
        MessageSystemAttributeNames=["ApproximateReceiveCount"],
    ).get("Messages", [])
    if not received:
        return
    answer = handler({"Records": [_record(message) for message in received]}, None)
    failed = {each["itemIdentifier"] for each in answer["batchItemFailures"]}
    for message in received:
        receipt = {"QueueUrl": settings.arrivals, "ReceiptHandle": message["ReceiptHandle"]}
        if message["MessageId"] in failed:
            times = int(message["Attributes"]["ApproximateReceiveCount"])
            again = min(times * _AGAIN_SECONDS, _LONGEST_AGAIN_SECONDS)
            sqs.change_message_visibility(**receipt, VisibilityTimeout=again)
        else:
            sqs.delete_message(**receipt)


def _record(message: MessageTypeDef) -> dict[str, Any]:
    """As Lambda hands a message of SQS to its function."""
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message.get("Attributes", {}),
        "messageAttributes": {},
        "eventSource": "aws:sqs",
    }


if __name__ == "__main__":
    main()
