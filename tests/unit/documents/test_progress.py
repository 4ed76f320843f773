"""Progress: how far a document is, and the status of its tasks."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from penstock.documents.progress import progress, task, with_full_lists
from penstock.domain.build import Build
from penstock.domain.errors import NotFound, PasswordRequired, Transient
from penstock.domain.ids import TenantId
from penstock.domain.lease import Lease
from penstock.domain.status import Status
from penstock.domain.task import Operation, TaskId, TaskState
from penstock.ports import Change
from tests.support.world import TENANT, World, prose


def view(world: World, id: TaskId, tenant: TenantId = TENANT):  # noqa: A002
    return task(world.services, tenant, id)


def test_a_task_is_pending_until_a_worker_takes_it_and_started_while_one_has_it(world):
    received = world.upload("Some words.")
    assert view(world, received.task).state is TaskState.PENDING
    seen = []
    world.run(world.take(), meanwhile=lambda: seen.append(view(world, received.task).state))
    assert seen == [TaskState.STARTED]
    done = view(world, received.task)
    assert done.state is TaskState.SUCCESS
    assert done.receipt == world.record(received).receipt
    assert (done.progress.current, done.progress.total) == (done.receipt.pages, done.receipt.pages)


def test_progress_never_decreases_within_an_attempt_and_is_complete_only_at_its_end(world):
    world.upload(prose("long", 12), id="long")
    seen = []

    def look():
        record = world.record("long")
        seen.append(progress(world.services, record))
        assert (seen[-1].current == seen[-1].total) is (record.status is Status.INDEXED)

    while world.queue.sent:
        world.run(world.take(), meanwhile=look)
        look()
    shares = [come.current / come.total if come.total else 0 for come in seen]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert len(set(shares)) > 1
    assert seen[-1].chunks == world.record("long").receipt.chunks


def test_pages_count_half_when_read_and_fully_when_their_shards_are_indexed(world):
    received = world.upload("Some words.")
    record = world.record(received)
    build = Build(TENANT, record.id, record.build_id, written=2, pages_read=100, pages=300)
    steps = [
        (build, (50, 300)),
        (replace(build, done=frozenset({0})), (50, 300)),
        (replace(build, total=3, written=3, pages_read=300, done=frozenset({0})), (200, 300)),
        (replace(build, total=3, written=3, pages_read=300, done=frozenset({0, 1, 2})), (300, 300)),
    ]
    world.documents.write(TENANT, Change(record, replace(record, status=Status.EXTRACTING, build=1)))
    record = world.record(received)
    for step, expected in steps:
        world.documents.items[TENANT, record.id, record.build_id] = step
        come = progress(world.services, record)
        assert (come.current, come.total) == expected


def test_a_task_between_two_tries_says_retry_and_what_the_last_one_ran_into(world):
    received = world.upload("Some words.")
    world.reader.fail = Transient(why="the disk is slow")
    world.run(world.take())
    seen = view(world, received.task)
    assert seen.state is TaskState.RETRY
    assert seen.failure is not None
    assert "the disk is slow" in seen.failure.message


def test_a_failed_task_says_why_and_what_to_do(world):
    received = world.upload("Some words.")
    world.reader.fail = PasswordRequired()
    world.drain()
    seen = view(world, received.task)
    assert seen.state is TaskState.FAILURE
    assert seen.failure is not None
    assert seen.failure.code == "password_required"
    assert "without a password" in seen.next_steps[0]
    assert received.document.id in seen.next_steps[1]


def test_a_task_whose_generation_was_replaced_is_superseded_unless_readers_still_see_it(world):
    first = world.upload("The first words.", id="doc")
    world.drain()
    world.clock.pass_time(timedelta(seconds=1))
    second = world.upload("The second words.", id="doc")
    assert view(world, first.task).state is TaskState.SUCCESS
    assert view(world, second.task).state is TaskState.PENDING
    world.drain()
    superseded = view(world, first.task)
    assert (superseded.state, superseded.reason) == (TaskState.REVOKED, "superseded")
    assert view(world, second.task).state is TaskState.SUCCESS


def test_a_cancelled_task_is_revoked(world):
    received = world.upload("Some words.")
    record = world.record(received)
    world.documents.write(TENANT, Change(record, replace(record, status=Status.CANCELLED)))
    assert view(world, received.task).state is TaskState.REVOKED
    assert view(world, received.task).reason == "cancelled"


def test_a_removal_is_pending_then_done_and_the_ingest_it_overtook_is_revoked(world):
    received = world.upload("Some words.")
    removal = world.delete(received)
    assert view(world, removal).state is TaskState.PENDING
    assert view(world, received.task).reason == "deleted"
    world.drain()
    assert view(world, removal).state is TaskState.SUCCESS


def test_a_removal_stays_done_when_the_document_comes_again(world):
    received = world.upload("Some words.", id="doc")
    removal = world.delete(received)
    world.drain()
    world.clock.pass_time(timedelta(seconds=1))
    again = world.upload("Some words.", id="doc")
    assert view(world, removal).state is TaskState.SUCCESS
    assert view(world, again.task).state is TaskState.PENDING


@pytest.mark.parametrize("other", ["unknown document", "later generation", "removal never asked for"])
def test_a_task_that_was_never_given_out_is_not_found(world, other):
    received = world.upload("Some words.")
    id_ = {
        "unknown document": TaskId(Operation.INGEST, 1, "nothing"),
        "later generation": replace(received.task, generation=received.task.generation + 1),
        "removal never asked for": replace(received.task, operation=Operation.DELETE),
    }[other]
    with pytest.raises(NotFound):
        view(world, id_)


@pytest.mark.invariant("I10")
def test_a_task_of_another_tenant_is_not_found(world):
    """I10: the tenant is the first part of every key."""
    received = world.upload("Some words.")
    with pytest.raises(NotFound):
        view(world, received.task, TenantId("other"))


def test_a_build_whose_shards_are_held_goes_on_though_an_earlier_try_failed(world):
    received = world.upload("Some words.")
    record = world.record(received)
    tried = replace(replace(record, status=Status.EXTRACTING), build=1, failure=None)
    world.documents.write(TENANT, Change(record, tried))
    record = world.record(received)
    held = Lease(epoch=1, until=world.clock() + timedelta(seconds=30))
    build = Build(TENANT, record.id, record.build_id, written=1, pages_read=4, pages=4, total=1, leases={0: held})
    world.documents.items[TENANT, record.id, record.build_id] = build
    assert view(world, received.task).state is TaskState.PROGRESS


def test_long_lists_of_a_receipt_are_stored_outside_the_record_and_shown_in_full():
    """The record stays under 4 KB for any number of pages."""
    world = World()
    received = world.upload("\f".join("" if page % 2 else f"Page {page} is about water." for page in range(1, 401)))
    world.drain()
    record = world.record(received)
    assert record.receipt is not None
    assert len(record.receipt.pages_without_text) <= 502
    assert record.receipt.pages_without_text.endswith(",…")
    shown = with_full_lists(world.services, record).receipt
    assert shown is not None
    assert shown.pages_without_text == ",".join(str(page) for page in range(1, 401, 2))
    world.delete(received)
    world.drain()
    assert world.objects.objects == {}


def test_a_file_that_takes_long_to_read_reports_its_progress():
    """A file that is read quickly costs no write for that."""
    world = World().with_limits(shard_chunks=1000)
    received = world.upload("\f".join(f"Page {page} is about water." for page in range(1, 21)))
    seen = []

    class Slow(type(world.reader)):
        @contextmanager
        def read(self, path, *, name, declared, first_page=1, tenant=None, on_member=None):
            with super().read(path, name=name, declared=declared, first_page=first_page) as reading:
                yield SlowReading(reading)

    class SlowReading:
        def __init__(self, reading):
            self._reading = reading

        def __getattr__(self, name):
            return getattr(self._reading, name)

        def __iter__(self):
            for page in self._reading:
                world.clock.pass_time(timedelta(seconds=0.1))
                come = progress(world.services, world.record(received))
                seen.append((come.current, come.total))
                yield page

    world.reader = Slow(paged=True)
    world.drain()
    assert seen == sorted(seen, key=lambda each: each[0])
    assert len(set(seen)) >= 4
    assert seen[-1] == (8, 20), "16 pages read count half, while nothing of them is indexed"
    assert world.record(received).status is Status.INDEXED
