"""The dead-letter queues: a document whose message was given up is failed, and each dead letter is filed."""

from __future__ import annotations

from penstock.lambdas.cold_start import per_container

# isort: split

import logging
from collections.abc import Callable, Mapping
from datetime import datetime

from penstock.adapters.celery.wire_format import STAGE_TASKS, Poison, decode
from penstock.domain.document import milliseconds, moment
from penstock.domain.errors import PenstockError
from penstock.domain.task import Message
from penstock.lambdas.arrivals import make_handler as arrivals_handler
from penstock.lambdas.arrivals import object_events
from penstock.lambdas.batch import Event, Failures, LambdaContext, Record, each_record
from penstock.operations.dead_letter_handling import settle
from penstock.operations.dead_letters import POISON, Letter, file_letter
from penstock.services import Services
from penstock.settings import Settings
from penstock.telemetry.context import log_context
from penstock.telemetry.logs_and_metrics import log_json
from penstock.wiring import services

log = logging.getLogger(__name__)

Handler = Callable[[Event, LambdaContext | None], Failures]

_NO_REASON = "it was received too often"
_NO_S3_EVENT = "it is no event of S3"
_ARRIVALS = "arrivals"


@per_container
def dead_letters() -> Handler:
    log_json()
    return make_handler(services(Settings.from_environment()))


def handler(event: Event, context: LambdaContext) -> Failures:
    return dead_letters()(event, context)


def make_handler(services: Services) -> Handler:
    """Make the handler over these services. A letter that cannot be settled now stays in its queue and comes again."""
    receive = arrivals_handler(services)

    def handler(event: Event, context: LambdaContext | None) -> Failures:
        def settled(record: Record) -> bool:
            try:
                if _queue(record) != _ARRIVALS:
                    _settle(services, record)
                elif not _is_s3_event(record["body"]):
                    _file(services, record, _NO_S3_EVENT, POISON)
                else:
                    # Only this message knows of the bytes in the bucket.
                    return not receive({"Records": [record]}, context)["batchItemFailures"]
            except Exception as error:
                is_bug = not isinstance(error, PenstockError)
                log.warning("A dead letter was not settled and comes again: %s", error, exc_info=is_bug)
                return False
            return True

        return each_record(event, settled)

    return handler


def _settle(services: Services, record: Record) -> None:
    try:
        envelope = decode(record["body"])
    except Poison as poison:
        log.error("A dead letter cannot be read: %s", poison)  # noqa: TRY400 - it is no bug
        _file(services, record, str(poison), POISON)
        return
    if envelope.task not in STAGE_TASKS:
        return  # nobody waits for a ping any more, and the next sweep comes on its schedule
    message = Message.of(STAGE_TASKS[envelope.task], envelope.arguments)
    reason = record.get("messageAttributes", {}).get("reason", {}).get("stringValue", _NO_REASON)
    with log_context(stage=message.stage.value, **message.arguments()):
        fate = settle(services, message, reason, sent=_sent(record))
        log.warning("A dead letter is %s: %s", fate, reason)
        _file(services, record, reason, fate, message.arguments())


def _file(
    services: Services, record: Record, reason: str, fate: str, arguments: Mapping[str, str | int] | None = None
) -> None:
    """File the letter, before its queue forgets it."""
    sent = _sent(record)
    id_ = f"{milliseconds(sent)}-{record['messageId']}"
    filed = services.clock()
    letter = Letter(id_, _queue(record), reason, fate, sent, filed, record["body"], arguments or {})
    file_letter(services, letter)


def _queue(record: Record) -> str:
    """The name of the queue, without the stack's name before it and "-dead" after it: a stage, or `arrivals`."""
    name: str = record["eventSourceARN"].removesuffix("-dead").rpartition("-")[2]
    return name


def _sent(record: Record) -> datetime:
    return moment(int(record["attributes"]["SentTimestamp"]))


def _is_s3_event(body: str) -> bool:
    try:
        list(object_events(body))
    except (KeyError, ValueError, TypeError, AttributeError):
        return False
    return True
