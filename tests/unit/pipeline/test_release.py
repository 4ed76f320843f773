"""Release: work that is handed back on purpose keeps no lease, counts no attempt, and is paid for once (I4)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta

import pytest

from penstock.documents.receive import Received
from penstock.domain.errors import Interrupted, Transient
from penstock.domain.status import Status
from penstock.domain.task import Message, Stage
from penstock.pipeline.run import Done, Outcome, Redeliver, run
from penstock.services import StopRequest
from tests.support.fakes.embedder import FakeEmbedder
from tests.support.fakes.reader import FakeReader
from tests.support.world import TENANT, World, prose

pytestmark = pytest.mark.invariant("I4")

ENDS = Redeliver(timedelta(0), "the worker ends")


@pytest.fixture
def world(world: World) -> World:
    world.embedder = FakeEmbedder(batch=1)
    return world


def interrupt(world: World, *, after: int) -> None:
    """Let the worker end during the request after this number of requests."""
    world.embedder.fail = [None] * after + [Interrupted()]  # type: ignore[list-item]


def run_until(world: World, message: Message, stop_request: Callable[[], StopRequest | None]) -> Outcome:
    return run(replace(world.services, stop_request=stop_request), message, lambda services, claim: nullcontext())


def is_whole(world: World, received: Received) -> bool:
    """Whether the document is searchable and each text was paid for once."""
    receipt = world.record(received).receipt
    assert receipt is not None
    texts = world.embedder.embedded
    return world.record(received).status is Status.INDEXED and len(texts) == len(set(texts)) == receipt.chunks


def test_an_interrupted_extract_is_released(world: World) -> None:
    received = world.upload(prose("a", 2))
    message = world.take()
    interrupt(world, after=1)
    assert world.run(message) == ENDS
    record = world.record(received)
    assert (record.status, record.lease.until, record.lease.attempts) == (Status.EXTRACTING, None, 0)
    assert record.failure is None
    assert world.run(message) == Done()
    record = world.record(received)
    assert record.lease.epoch == 2
    assert is_whole(world, received)
    assert record.receipt is not None
    assert record.receipt.embedded == record.receipt.chunks, "what it paid for is in the receipt"


def test_what_a_released_extract_paid_for_is_in_the_receipt_of_a_build_too(world: World) -> None:
    """The next run of the same extract fails, and leaves the rest to embed."""
    received = world.upload(prose("a", 3))
    message = world.take()
    interrupt(world, after=1)
    world.run(message)
    world.embedder.fail = [None, Transient(why="the provider does not answer")]
    world.run(message)
    assert world.record(received).status is Status.EMBEDDING
    world.drain()
    assert is_whole(world, received)
    receipt = world.record(received).receipt
    assert receipt is not None
    assert receipt.embedded == receipt.chunks


def shard_message(world: World) -> tuple[Received, Message]:
    received = world.upload(prose("a", 8))
    world.run(world.take())
    return received, world.take()


def test_an_interrupted_shard_is_released_and_what_it_paid_for_is_in_the_receipt(world: World) -> None:
    received, message = shard_message(world)
    interrupt(world, after=1)
    assert world.run(message) == ENDS
    build = world.documents.read_build(TENANT, received.document.id, world.record(received).build_id)
    assert build is not None
    assert message.shard is not None
    assert (build.leases[message.shard].until, build.leases[message.shard].attempts) == (None, 0)
    assert build.embedded == 1
    assert world.run(message) == Done()
    world.drain()
    assert is_whole(world, received)
    receipt = world.record(received).receipt
    assert receipt is not None
    assert receipt.embedded == receipt.chunks


def test_a_shard_whose_time_is_over_hands_back_after_each_batch_and_comes_to_its_end(world: World) -> None:
    received, message = shard_message(world)
    outcomes = [run_until(world, message, lambda: StopRequest("a test may")) for _ in range(2)]
    assert outcomes[0] == Redeliver(
        timedelta(0), "The time of this run is over. The next run continues where this one stopped."
    )
    assert outcomes[1] == Done()
    world.drain()
    assert is_whole(world, received)


def test_an_interrupted_removal_is_released_and_done_by_the_next(world: World) -> None:
    received = world.upload(prose("a", 2))
    world.drain()
    world.delete(received)
    message = world.take()
    assert message.stage is Stage.DELETE
    world.index.fail = [Interrupted()]  # type: ignore[list-item]
    assert world.run(message) == ENDS
    assert world.record(received).lease.until is None
    assert world.run(message) == Done()
    assert world.record(received).status is Status.DELETED


def test_a_file_that_cannot_be_read_on_is_read_to_its_end_when_the_worker_ends() -> None:
    """A new run would not get any further. If the time is not enough, it is interrupted."""
    world = World(reader=FakeReader(seeks=False))
    received = world.upload(prose("a", 8))
    assert run_until(world, world.take(), StopRequest) == Done()
    world.drain()
    assert world.record(received).status is Status.INDEXED


def test_what_cannot_be_released_comes_again_when_its_lease_has_ended(world: World) -> None:
    """Then it counts as an attempt, like the run of a worker that was lost."""
    received = world.upload(prose("a", 2))
    message = world.take()

    def fails(*_: object) -> None:
        raise Transient(why="the table does not answer")

    class Ends(FakeEmbedder):
        def embed(self, tenant: object, texts: object) -> list[None]:
            world.documents.write = fails  # type: ignore[assignment]
            raise Interrupted

    write, world.embedder = world.documents.write, Ends()
    outcome = world.run(message)
    assert isinstance(outcome, Redeliver)
    assert "does not answer" in outcome.why
    world.documents.write, world.embedder = write, FakeEmbedder()  # type: ignore[method-assign]
    leased = world.run(message)
    assert isinstance(leased, Redeliver)
    world.clock.pass_time(leased.delay)
    assert world.run(message) == Done()
    assert world.record(received).lease.attempts == 1


def test_what_was_done_before_the_interruption_is_done(world: World) -> None:
    received = world.upload(prose("a", 2))
    message = world.take()

    class Late:
        def __enter__(self) -> None: ...

        def __exit__(self, *_: object) -> None:
            raise Interrupted

    assert run(world.services, message, lambda services, claim: Late()) == ENDS  # type: ignore[arg-type, return-value]
    assert world.run(message) == Done()
    assert is_whole(world, received)
