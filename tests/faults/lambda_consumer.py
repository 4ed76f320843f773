"""A Lambda function and its event source mappings as one process. It receives from the queues that it is given, calls
the handler of the stage queues, and deletes the messages that the handler does not name. It ends by a signal, as
containers do.

    python -m tests.faults.lambda_consumer ENDPOINT [--visibility SECONDS] QUEUE ...

ENDPOINT is the address that the mappings use. They bypass the function's proxy.
"""

from __future__ import annotations

import argparse
import sys
import time
from datetime import timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from penstock.adapters.aws.clients import aws_clients
from penstock.celery_app.metrics import with_metrics
from penstock.domain.task import Stage
from penstock.lambdas.stages import Consumer
from penstock.local.sqs_record import record_of
from penstock.pipeline.run import run
from penstock.settings import Settings
from penstock.telemetry.logs_and_metrics import log_json
from penstock.wiring import services
from tests.support.lambda_events import Invocation

SECONDS = 60.0
"""The time of an invocation in seconds, which is longer than the client waits for a service. The leases of a function
that was killed last this long."""
VISIBILITY = 65
"""The visibility of the queues in seconds. It is longer than the invocation, as AWS requires; a shorter one is a
fault."""
CHECKPOINT, MARGIN = timedelta(seconds=10), timedelta(seconds=3)


def main(endpoint: str, names: list[str], visibility: int) -> None:
    settings, clients = Settings.from_environment(), aws_clients()
    log_json()
    handler = Consumer(
        settings,
        lambda: services(settings, clients=clients),
        clients.sqs,
        with_metrics(run),
        checkpoint_before_end=CHECKPOINT,
        margin=MARGIN,
    )
    sqs = aws_clients(endpoint).sqs
    print("ready", flush=True)
    while True:
        turns = [_turn(handler, sqs, settings.queues[name], visibility) for name in names]
        if not any(turns):
            time.sleep(0.2)


def _turn(handler: Consumer, sqs: Any, url: str, visibility: int) -> bool:
    most = 1 if f"-{Stage.EXTRACT}-" in url else 10
    try:
        messages = sqs.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=most,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
            VisibilityTimeout=visibility,
        ).get("Messages", [])
        if messages:
            answer = handler({"Records": [record_of(url, each) for each in messages]}, Countdown(SECONDS))
            failed = {each["itemIdentifier"] for each in answer["batchItemFailures"]}
            for each in messages:
                if each["MessageId"] not in failed:
                    sqs.delete_message(QueueUrl=url, ReceiptHandle=each["ReceiptHandle"])
    except (BotoCoreError, ClientError) as error:  # the emulator is restarting
        print(f"{url}: {error}", file=sys.stderr, flush=True)
        return False
    return bool(messages)


class Countdown(Invocation):
    """The context of an invocation whose remaining time runs down."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self._end = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self._end - time.monotonic()) * 1000))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("endpoint")
    parser.add_argument("queues", nargs="+")
    parser.add_argument("--visibility", type=int, default=VISIBILITY)
    asked = parser.parse_args()
    main(asked.endpoint, asked.queues, asked.visibility)
