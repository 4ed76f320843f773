"""Eager mode: the whole pipeline in the calling process."""

from __future__ import annotations

from datetime import timedelta
from io import BytesIO

from penstock.cli.eager import EagerQueue
from penstock.documents.progress import task
from penstock.documents.receive import Upload, receive_upload
from penstock.domain.errors import Transient
from penstock.domain.ids import document_id
from penstock.domain.status import Status
from penstock.domain.task import Lane, TaskState
from tests.support.world import TENANT, World, prose


def received(world: World, queue: EagerQueue, text: str):
    world.queue = queue
    upload = Upload(BytesIO(text.encode()), "a.txt", len(text), "0" * 64, "text/plain")
    named = document_id("doc")
    return receive_upload(world.services, TENANT, upload, document=named, source="api", lane=Lane.STANDARD, metadata={})


def test_draining_runs_all_stages_and_all_shards_to_the_end():
    world, queue = World(), EagerQueue()
    entered = received(world, queue, prose("long", 12))
    queue.drain(world.services)
    record = world.record(entered)
    assert record.status is Status.INDEXED
    assert record.receipt.chunks > 2
    assert task(world.services, TENANT, entered.task).state is TaskState.SUCCESS


def test_a_try_that_fails_for_now_is_made_again_here():
    world, queue = World().with_limits(backoff=timedelta(0)), EagerQueue()
    world.embedder.fail = [Transient(why="the provider is busy"), None]
    entered = received(world, queue, "Some words.")
    queue.drain(world.services)
    assert world.record(entered).status is Status.INDEXED
    assert world.embedder.fail == []
