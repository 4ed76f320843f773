"""What Lambda does in AWS, in a loop: feed the arrivals queue and the dead-letter queues to their handlers."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from penstock.adapters.aws.clients import aws_clients
from penstock.lambdas.arrivals import Handler, make_handler
from penstock.lambdas.dead_letters import make_handler as dead_letter_handler
from penstock.local.sqs_record import record_of
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
_LETTERS_SECONDS = 5
"""Nobody waits for a dead letter."""


def main() -> None:
    """Until SIGTERM or SIGINT; a batch that was received is finished before."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    settings = Settings.from_environment()
    wired = services(settings)
    handler, settler, sqs, looked = make_handler(wired), dead_letter_handler(wired), aws_clients().sqs, 0.0
    while not stopped.is_set():
        if time.monotonic() - looked >= _LETTERS_SECONDS:
            looked = time.monotonic()
            for url in settings.dead_letters.values():
                _tried(sqs, url, settler, wait=0)
        if not _tried(sqs, settings.arrivals, handler, wait=min(settings.wait_seconds, 1)):
            stopped.wait(_PAUSE_SECONDS)


def _tried(sqs: SQSClient, url: str, handler: Handler, *, wait: int) -> bool:
    """Whether the queue answered."""
    try:
        _one_batch(sqs, url, handler, wait)
    except (BotoCoreError, ClientError) as error:
        log.warning("%s does not answer: %s", url, error)
        return False
    return True


def _one_batch(sqs: SQSClient, url: str, handler: Handler, wait: int) -> None:
    """One receive request; what the handler does not name as failed is deleted, what it does comes again soon."""
    received: Sequence[MessageTypeDef] = sqs.receive_message(
        QueueUrl=url,
        MaxNumberOfMessages=10,
        WaitTimeSeconds=wait,
        VisibilityTimeout=_VISIBILITY_SECONDS,
        MessageSystemAttributeNames=["ApproximateReceiveCount", "SentTimestamp"],
        MessageAttributeNames=["All"],
    ).get("Messages", [])
    if not received:
        return
    answer = handler({"Records": [record_of(url, message) for message in received]}, None)
    failed = {each["itemIdentifier"] for each in answer["batchItemFailures"]}
    for message in received:
        receipt = {"QueueUrl": url, "ReceiptHandle": message["ReceiptHandle"]}
        if message["MessageId"] in failed:
            times = int(message["Attributes"]["ApproximateReceiveCount"])
            again = min(times * _AGAIN_SECONDS, _LONGEST_AGAIN_SECONDS)
            sqs.change_message_visibility(**receipt, VisibilityTimeout=again)
        else:
            sqs.delete_message(**receipt)


if __name__ == "__main__":
    main()
