"""S3 events from the arrivals queue: receive each new object as a document, and each removal of one.

The local stack runs this same handler, fed by a poller.
"""

from __future__ import annotations

from penstock.lambdas.cold_start import per_container

# isort: split

import logging
from collections.abc import Callable, Iterator
from urllib.parse import unquote_plus

import orjson

from penstock.documents.object_events import ObjectEvent, receive_object
from penstock.domain.errors import BadRequest, PenstockError
from penstock.lambdas.batch import Event, Failures, LambdaContext, each_record
from penstock.services import Services
from penstock.settings import Settings
from penstock.telemetry.logs_and_metrics import log_json
from penstock.wiring import services

log = logging.getLogger(__name__)

Handler = Callable[[Event, LambdaContext | None], Failures]


@per_container
def arrivals() -> Handler:
    log_json()
    return make_handler(services(Settings.from_environment()))


def handler(event: Event, context: LambdaContext) -> Failures:
    return arrivals()(event, context)


def make_handler(services: Services) -> Handler:
    """Make the handler over these services, which answers an SQS event with a partial-batch response.

    A message that failed stays in its queue and comes again. An event that can never succeed is logged and dropped, so
    that it delays no others.
    """

    def handler(event: Event, context: LambdaContext | None) -> Failures:  # noqa: ARG001 - the signature is that of Lambda
        return each_record(event, lambda record: _received(services, record["body"]))

    return handler


def _received(services: Services, body: str) -> bool:
    try:
        for event in object_events(body):
            _receive(services, event)
    except Exception as error:
        is_bug = not isinstance(error, PenstockError)
        log.warning("A message was not received and comes again: %s", error, exc_info=is_bug)
        return False
    return True


def _receive(services: Services, event: ObjectEvent) -> None:
    try:
        received = receive_object(services, event)
    except BadRequest as error:
        log.warning("ignored %s: %s", event.key, error)
    else:
        if received is not None:
            log.info("received %s as %s", event.key, received.document.id)


def object_events(body: str) -> Iterator[ObjectEvent]:
    """The events of S3 in the body of one message (Amazon S3, "Event message structure"). Its keys are URL-encoded.

    Raises:
        KeyError, ValueError: the body is no S3 event.
    """
    for record in orjson.loads(body).get("Records", []):  # S3 also sends a test event, without records
        s3_object = record["s3"]["object"]
        yield ObjectEvent(
            key=unquote_plus(s3_object["key"]),
            version=s3_object.get("versionId", ""),
            size=s3_object.get("size", 0),
            etag=s3_object.get("eTag", ""),
            sequencer=s3_object["sequencer"],
            removed=record["eventName"].startswith("ObjectRemoved:"),
        )
