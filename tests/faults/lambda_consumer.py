"""A Lambda function and its event source mappings as a process: receives from the queues that it is given, calls the
handler of the stage queues, and deletes what that does not name. Ended by a signal, as containers are.

    python -m tests.faults.lambda_consumer ENDPOINT QUEUE ...     # where the mappings ask, past the function's proxy
"""

from __future__ import annotations

import sys
import time
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from penstock.adapters.aws.clients import aws_clients
from penstock.lambdas.stages import HAND_ON, handler
from penstock.settings import Settings
from penstock.task import Stage
from tests.lambdas import Invocation

SECONDS = HAND_ON.total_seconds() + 20
"""Of an invocation: with less, a text would be too long for it from the start."""
VISIBILITY = 25
"""Seconds: what a function that was killed leaves comes again soon, and waits for its lease."""


def main(endpoint: str, names: list[str]) -> None:
    urls = Settings().queues
    sqs = aws_clients(endpoint).sqs
    print("ready", flush=True)
    while True:
        if not any([_turn(sqs, name, urls[name]) for name in names]):
            time.sleep(0.2)


def _turn(sqs: Any, name: str, url: str) -> bool:
    most = 1 if name.startswith(Stage.EXTRACT) else 10
    try:
        messages = sqs.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=most,
            MessageSystemAttributeNames=["All"],
            VisibilityTimeout=VISIBILITY,
        ).get("Messages", [])
        if messages:
            answer = handler({"Records": [_record(url, each) for each in messages]}, Countdown(SECONDS))
            failed = {each["itemIdentifier"] for each in answer["batchItemFailures"]}
            for each in messages:
                if each["MessageId"] not in failed:
                    sqs.delete_message(QueueUrl=url, ReceiptHandle=each["ReceiptHandle"])
    except (BotoCoreError, ClientError) as error:  # the emulator restarts
        print(f"{name}: {error}", file=sys.stderr, flush=True)
        return False
    return bool(messages)


class Countdown(Invocation):
    """An invocation whose time runs."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self._end = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self._end - time.monotonic()) * 1000))


def _record(url: str, message: dict[str, Any]) -> dict[str, Any]:
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message["Attributes"],
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:" + url.rsplit("/", 1)[-1],
    }


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
