"""The dead-letter queues: no document may wait for a message that its queue gave up."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache

from penstock.errors import PenstockError
from penstock.lambdas.arrivals import make_handler as arrivals_handler
from penstock.lambdas.batch import Event, Failures, LambdaContext, Record, each_record
from penstock.log_context import about
from penstock.observe import log_json
from penstock.ports import Services
from penstock.settings import Settings
from penstock.settle import settle
from penstock.task import Message
from penstock.wiring import services
from penstock.worker.envelope import STAGE_TASKS, Poison, read

log = logging.getLogger(__name__)

Handler = Callable[[Event, LambdaContext], Failures]

_UNTOLD = "it was received too often"
_SHOWN = 1000
"""Characters of a message that nobody can read, in the log: it is all that is left of it."""


@cache
def dead_letters() -> Handler:
    """One per container: made at its first event, not at import (I9)."""
    log_json()
    return make_handler(services(Settings()))


def handler(event: Event, context: LambdaContext) -> Failures:
    return dead_letters()(event, context)


def make_handler(services: Services) -> Handler:
    """The handler over these services. What cannot be settled now stays in its queue and comes again."""
    receive = arrivals_handler(services)

    def handler(event: Event, context: LambdaContext) -> Failures:
        def settled(record: Record) -> bool:
            if record["eventSourceARN"].endswith("-arrivals-dead"):
                # It tells of bytes that lie in the bucket: nobody but this message knows of them.
                return not receive({"Records": [record]}, context)["batchItemFailures"]
            return _settled(services, record)

        return each_record(event, settled)

    return handler


def _settled(services: Services, record: Record) -> bool:
    try:
        envelope = read(record["body"])
    except Poison as poison:
        log.error("dropped a dead letter (%s): %s", poison, record["body"][:_SHOWN])  # noqa: TRY400 - no bug
        return True
    if envelope.task not in STAGE_TASKS:
        return True  # nobody waits for a ping any more, and the next sweep comes by itself
    message = Message.of(STAGE_TASKS[envelope.task], envelope.arguments)
    reason = record.get("messageAttributes", {}).get("reason", {}).get("stringValue", _UNTOLD)
    with about(stage=message.stage.value, **message.arguments()):
        try:
            log.warning("dead letter %s: %s", settle(services, message, reason), reason)
        except Exception as error:
            log.warning("not settled, comes again: %s", error, exc_info=not isinstance(error, PenstockError))
            return False
    return True
