"""The arrivals handler: it receives S3's events as Lambda passes them, and no message of a batch delays the others."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any

import pytest

from penstock.domain.errors import Transient
from penstock.domain.ids import DocumentId, derived_id
from penstock.domain.status import Status
from penstock.lambdas.arrivals import make_handler, object_events
from tests.support.paths import EVENTS
from tests.support.world import TENANT, World

KEY = "drop/acme/wiki/Mühle am Bach.txt"


@pytest.fixture
def world(world: World) -> World:
    world.objects.put(TENANT, KEY, BytesIO("Die Mühle steht still.".encode()))
    return world


def event(name: str) -> dict[str, Any]:
    return json.loads((EVENTS / f"{name}.json").read_text())


def message(number: int, *records: dict[str, Any]) -> dict[str, Any]:
    return {"messageId": f"m{number}", "body": json.dumps({"Records": records})}


def created(key: str, sequencer: str = "01", version: str = "v1") -> dict[str, Any]:
    s3 = {"object": {"key": key, "size": 1, "eTag": "e", "versionId": version, "sequencer": sequencer}}
    return {"eventName": "ObjectCreated:Put", "s3": s3}


def test_an_arrival_becomes_a_document_and_s3s_test_event_nothing(world: World) -> None:
    """Keys in events are URL-encoded."""
    assert make_handler(world.services)(event("arrivals-created"), None) == {"batchItemFailures": []}
    world.drain()
    record = world.record(DocumentId(derived_id(TENANT, KEY)))
    assert (record.status, record.original.name, record.source) == (Status.INDEXED, "Mühle am Bach.txt", "wiki")


def test_a_removal_deletes_it(world: World) -> None:
    handler = make_handler(world.services)
    handler(event("arrivals-created"), None)
    world.drain()
    assert handler(event("arrivals-removed"), None) == {"batchItemFailures": []}
    world.drain()
    assert world.record(DocumentId(derived_id(TENANT, KEY))).status is Status.DELETED


def test_a_message_that_cannot_be_received_now_comes_again_alone(world: World) -> None:
    class Down(type(world.documents)):  # type: ignore[misc]
        def read(self, tenant: str, document: str) -> None:
            if document == derived_id("acme", "drop/acme/wiki/b.txt"):
                raise Transient(why="the table is down")
            return super().read(tenant, document)

    world.documents = Down()
    batch = [message(n, created(f"drop/acme/wiki/{name}.txt")) for n, name in enumerate("abc")]
    answer = make_handler(world.services)({"Records": batch}, None)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "m1"}]}
    assert len(world.queue.sent) == 2


def test_what_is_no_event_comes_again_until_the_queue_gives_it_to_its_dead_letters(world: World) -> None:
    batch = [{"messageId": "m0", "body": "not json"}, message(1, created("drop/acme/wiki/a.txt"))]
    answer = make_handler(world.services)({"Records": batch}, None)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "m0"}]}
    assert len(world.queue.sent) == 1


def test_a_key_that_can_never_be_a_document_delays_no_other(world: World) -> None:
    batch = [message(0, created("drop/NOT-A-TENANT/wiki/a.txt"), created("drop/acme/wiki/a.txt"))]
    assert make_handler(world.services)({"Records": batch}, None) == {"batchItemFailures": []}
    assert len(world.queue.sent) == 1


def test_an_arrival_during_the_removal_stays_in_its_queue(world: World) -> None:
    handler = make_handler(world.services)
    handler(event("arrivals-created"), None)
    handler(event("arrivals-removed"), None)
    again = {"Records": [message(0, created("drop/acme/wiki/M%C3%BChle+am+Bach.txt", "0056", "v3"))]}
    assert handler(again, None) == {"batchItemFailures": [{"itemIdentifier": "m0"}]}


def test_each_sample_event_is_one_that_s3_sends() -> None:
    (arrived,) = [found for each in event("arrivals-created")["Records"] for found in object_events(each["body"])]
    (removed,) = [found for each in event("arrivals-removed")["Records"] for found in object_events(each["body"])]
    assert (arrived.key, arrived.removed, removed.key, removed.removed) == (KEY, False, KEY, True)
