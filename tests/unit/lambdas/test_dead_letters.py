"""Dead letters: which of them fail a document, which are stale, and which are sent again."""

from __future__ import annotations

import json
from datetime import timedelta
from io import BytesIO
from typing import Any

import pytest

from penstock.domain.errors import Transient
from penstock.domain.ids import derived_id
from penstock.domain.status import Status
from penstock.lambdas.dead_letters import make_handler
from penstock.operations.dead_letter_handling import Settled, settle
from penstock.records.document_lease import take_extract
from penstock.records.shard_lease import take_embed
from tests.support.lambda_events import Invocation, sample
from tests.support.world import TENANT, World, prose


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.invariant("I4")
def test_a_stage_that_nobody_works_on_is_failed_with_the_reason(world: World) -> None:
    """I4."""
    received = world.upload("The weir was opened.")
    assert settle(world.services, world.take(), "it was received too often") is Settled.FAILED
    record = world.record(received)
    kept = world.clock() + world.limits.keep_failed
    assert (record.status, record.sweep_at, record.lease.until) == (Status.FAILED, kept, None)
    assert record.failure is not None
    assert record.failure.code == "given_up"
    assert "received too often" in record.failure.message


def test_a_shard_that_nobody_works_on_fails_its_document(world: World) -> None:
    received = world.upload(prose("a", 9))
    world.run(world.take())
    assert settle(world.services, world.take(), "why") is Settled.FAILED
    assert world.record(received).status is Status.FAILED


@pytest.mark.invariant("I4")
def test_a_letter_is_stale_while_a_lease_lives(world: World) -> None:
    """I4: a holder works on it, with another copy of the message."""
    received = world.upload(prose("a", 9))
    extract = world.take()
    take_extract(world.services, extract)
    assert settle(world.services, extract, "why") is Settled.STALE
    assert world.record(received).status is Status.EXTRACTING
    world.clock.pass_time(timedelta(hours=1))
    world.run(extract)
    shard = world.take()
    take_embed(world.services, shard)
    assert settle(world.services, shard, "why") is Settled.STALE
    assert world.record(received).status is Status.EMBEDDING


def test_a_letter_is_stale_where_its_stage_is_done(world: World) -> None:
    received = world.upload(prose("a", 9))
    extract = world.take()
    world.run(extract)
    shard = world.take()
    world.run(shard)
    for message in (extract, shard):
        assert settle(world.services, message, "why") is Settled.STALE
    world.drain()
    assert settle(world.services, extract, "why") is Settled.STALE
    assert world.record(received).status is Status.INDEXED


def test_a_letter_of_an_older_generation_changes_nothing(world: World) -> None:
    world.upload("The weir was opened.", id="report")
    older = world.take()
    newer = world.upload("The weir was closed.", id="report")
    assert settle(world.services, older, "why") is Settled.STALE
    assert world.record(newer).status is Status.QUEUED


def test_a_failed_replacement_leaves_the_earlier_generation_searchable(world: World) -> None:
    world.upload("The weir was opened.", id="report")
    world.drain()
    world.upload("The weir was closed.", id="report")
    assert settle(world.services, world.take(), "why") is Settled.FAILED
    assert len(world.search("weir opened").hits) == 1


def test_a_removal_is_asked_for_again_and_never_fails(world: World) -> None:
    received = world.upload("The weir was opened.")
    world.drain()
    world.delete(received)
    removal = world.take()
    assert settle(world.services, removal, "why") is Settled.ASKED_AGAIN
    assert [message for message, _, _ in world.queue.sent] == [removal]
    assert world.record(received).status is Status.DELETING
    world.drain()
    assert settle(world.services, removal, "why") is Settled.STALE
    assert not world.queue.sent


def test_the_handler_settles_each_letter_and_drops_what_nobody_can_read(world: World) -> None:
    event = sample("dead-letters")
    weir = world.upload("The weir was opened.", id="weir")
    sluice = world.upload("The sluice was closed.", id="sluice")
    world.delete(sluice)
    world.queue.sent.clear()
    world.objects.put(TENANT, "drop/acme/wiki/race.txt", BytesIO(b"The race is dry."))
    _of_generation(event, weir.document.generation)
    assert make_handler(world.services)(event, Invocation()) == {"batchItemFailures": []}
    assert world.record(weir).status is Status.FAILED
    assert world.record(sluice).status is Status.DELETING
    arrived = world.record(derived_id(TENANT, "drop/acme/wiki/race.txt"))
    assert arrived.status is Status.QUEUED
    assert sorted(message.stage for message, _, _ in world.queue.sent) == ["delete", "extract"]


def test_a_dead_sweep_is_dropped_as_another_follows_it(world: World) -> None:
    event = sample("dead-letters")
    event["Records"] = event["Records"][:1]
    event["Records"][0]["body"] = json.dumps({"headers": {"task": "penstock.sweep", "id": "1"}, "body": "[[], {}, {}]"})
    assert make_handler(world.services)(event, Invocation()) == {"batchItemFailures": []}


def test_a_letter_that_cannot_be_settled_now_comes_again_alone(world: World) -> None:
    event = sample("dead-letters")
    _of_generation(event, world.upload("The weir was opened.", id="weir").document.generation)

    class Down(type(world.documents)):  # type: ignore[misc]
        def read(self, tenant: str, document: str) -> None:
            if document == "weir":
                raise Transient(why="the table is down")
            return super().read(tenant, document)

    world.documents = Down()
    answer = make_handler(world.services)(event, Invocation())
    assert answer == {"batchItemFailures": [{"itemIdentifier": event["Records"][0]["messageId"]}]}


def _of_generation(event: dict[str, Any], generation: int) -> None:
    for record in event["Records"]:
        record["body"] = record["body"].replace("1767225600000", json.dumps(generation))
