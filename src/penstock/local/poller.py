"""The poller does in a loop what Lambda does in AWS: it hands messages of the arrivals queue and of the dead-letter
queues to their handlers."""

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
_RETRY_SECONDS = 2
"""The wait after the first failure of a message. It grows by as much with each further one."""
_MAX_RETRY_SECONDS = 60
"""The maximum wait. A message that waits for a deletion of its document to end is received at most a hundred times, and
these waits together outlast every deletion."""
_PAUSE_SECONDS = 1
"""The wait after a queue did not answer."""
_DEAD_LETTER_SECONDS = 5
"""The time between two looks at the dead-letter queues. Nobody waits for a dead letter, so it need not be short."""


def main() -> None:
    """Poll until SIGTERM or SIGINT. A batch that was received is finished first."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    settings = Settings.from_environment()
    wired = services(settings)
    sqs, arrivals, dead_letters = aws_clients().sqs, make_handler(wired), dead_letter_handler(wired)
    last_look = 0.0
    while not stopped.is_set():
        if time.monotonic() - last_look >= _DEAD_LETTER_SECONDS:
            last_look = time.monotonic()
            for url in settings.dead_letters.values():
                _poll(sqs, url, dead_letters, wait=0)
        if not _poll(sqs, settings.arrivals, arrivals, wait=min(settings.wait_seconds, 1)):
            stopped.wait(_PAUSE_SECONDS)


def _poll(sqs: SQSClient, url: str, handler: Handler, *, wait: int) -> bool:
    """Handle one batch of messages. False if the queue did not answer."""
    try:
        _handle_batch(sqs, url, handler, wait)
    except (BotoCoreError, ClientError) as error:
        log.warning("%s does not answer: %s", url, error)
        return False
    return True


def _handle_batch(sqs: SQSClient, url: str, handler: Handler, wait: int) -> None:
    """Receive once and call the handler. A message that it reports as failed is delivered again after a wait, and the
    others are deleted."""
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
            delay = min(times * _RETRY_SECONDS, _MAX_RETRY_SECONDS)
            sqs.change_message_visibility(**receipt, VisibilityTimeout=delay)
        else:
            sqs.delete_message(**receipt)


if __name__ == "__main__":
    main()
