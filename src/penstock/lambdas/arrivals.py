"""S3 events from the arrivals queue: receive each object as a document, or its removal. The local stack runs this same
handler, fed by a poller."""

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
    """The handler over these services: an SQS event to a partial-batch response. A message that failed stays in its
    queue and comes again; one that can never succeed is logged and dropped, so that it holds up nobody."""

    def handler(event: Event, context: LambdaContext | None) -> Failures:  # noqa: ARG001 - Lambda's
        return each_record(event, lambda record: _received(services, record["body"]))

    return handler


def _received(services: Services, body: str) -> bool:
    try:
        for event in object_events(body):
            _receive(services, event)
    except Exception as error:
        trace = not isinstance(error, PenstockError)
        log.warning("not received, comes again: %s", error, exc_info=trace)
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
    """What S3 says in the body of one message (Amazon S3, "Event message structure"); its keys are URL-encoded.

    Raises:
        KeyError, ValueError: it is no S3 event.
    """
    for record in orjson.loads(body).get("Records", []):  # S3 also sends a test event, without records
        thing = record["s3"]["object"]
        yield ObjectEvent(
            key=unquote_plus(thing["key"]),
            version=thing.get("versionId", ""),
            size=thing.get("size", 0),
            etag=thing.get("eTag", ""),
            sequencer=thing["sequencer"],
            removed=record["eventName"].startswith("ObjectRemoved:"),
        )
