"""Members: the files of an archive are documents of their own, also if it is replaced or removed, or a worker dies."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from io import BytesIO

import pytest

from penstock.documents.archive_members import member_id, member_name, remove_members
from penstock.documents.receive import Received, Upload, receive_upload
from penstock.documents.remove import request_removal
from penstock.domain.document import Document
from penstock.domain.errors import TooLarge, Transient
from penstock.domain.ids import DocumentId, TenantId
from penstock.domain.status import Status
from penstock.domain.task import Lane, Message
from penstock.pipeline.run import Done, Redeliver
from penstock.ports import Stored
from penstock.services import Services, StopRequest
from tests.support.sample_files import zip_of
from tests.support.world import TENANT, World, prose

FILES: dict[str, str | bytes] = {"a.txt": "The weir was opened.", "sub/b.txt": "The sluice was closed."}


class Halting(World):
    """A world whose time can be over."""

    stop_request: StopRequest | None = None

    @property
    def services(self) -> Services:
        return replace(super().services, stop_request=lambda: self.stop_request)


@pytest.fixture
def world() -> Halting:
    return Halting()


def added(world: World, files: dict[str, str | bytes], *, id: str = "box") -> Received:  # noqa: A002
    content = zip_of(files)
    upload = Upload(BytesIO(content), "box.zip", len(content), hashlib.sha256(content).hexdigest(), "application/zip")
    return receive_upload(
        world.services,
        TENANT,
        upload,
        document=DocumentId(id),
        source="letters",
        lane=Lane.EXPRESS,
        metadata={"year": "2026"},
    )


def member(world: World, path: str) -> Document:
    return world.record(member_id(TENANT, DocumentId("box"), (path,)))


def names_found(world: World, text: str) -> list[str]:
    return [hit.name for hit in world.search(text).hits]


def test_each_file_of_an_archive_is_a_document_of_its_own(world: World) -> None:
    archive = added(world, FILES)
    world.drain()
    assert names_found(world, "weir")[0] == "box.zip/a.txt"
    assert names_found(world, "sluice")[0] == "box.zip/sub/b.txt"
    record = world.record(archive)
    assert (record.status, record.has_members) == (Status.INDEXED, True)
    assert record.receipt is not None
    assert (record.receipt.members, record.receipt.pages, record.receipt.chunks) == (2, 2, 0)
    taken = member(world, "a.txt")
    assert taken.status is Status.INDEXED
    assert (taken.container, taken.source, taken.lane, taken.metadata) == (
        "box",
        "letters",
        Lane.EXPRESS,
        {"year": "2026"},
    )


def died_at(world: World, message: Message, *, file: int) -> Redeliver:
    """The outcome of a run in which the bucket stops answering at this file of the archive."""
    put, count = world.objects.put, iter(range(1, 1000))

    def put_until(*args: object, **kwargs: object) -> Stored:
        if next(count) >= file:
            raise Transient(why="the bucket is away")
        return put(*args, **kwargs)  # type: ignore[arg-type]

    world.objects.put = put_until  # type: ignore[method-assign]
    outcome = world.run(message)
    world.objects.put = put  # type: ignore[method-assign]
    assert isinstance(outcome, Redeliver)
    return outcome


@pytest.mark.invariant("I3")
def test_an_archive_read_again_changes_none_of_the_members_it_has(world: World) -> None:
    """I3: also if a run died after it had received some of them."""
    added(world, {**FILES, "c.txt": "The third."})
    outcome = died_at(world, world.take(), file=3)
    objects = {key: len(versions) for key, versions in world.objects.objects.items()}
    generations = {path: member(world, path).generation for path in FILES}
    world.clock.pass_time(outcome.delay + timedelta(minutes=20))
    world.sweep()
    world.drain()
    assert {key: len(versions) for key, versions in world.objects.objects.items() if key in objects} == objects
    assert member(world, "c.txt").status is Status.INDEXED
    assert {path: member(world, path).generation for path in FILES} == generations
    assert member(world, "a.txt").status is Status.INDEXED
    assert world.record(DocumentId("box")).status is Status.INDEXED


def test_a_replaced_archive_replaces_what_changed_and_removes_what_is_gone(world: World) -> None:
    added(world, {"same.txt": "The same weir.", "other.txt": "The old lock.", "gone.txt": "The ferry."})
    world.drain()
    same, other = member(world, "same.txt"), member(world, "other.txt")
    world.clock.pass_time(timedelta(hours=1))
    added(world, {"same.txt": "The same weir.", "other.txt": "A new bridge.", "more.txt": "The jetty."})
    world.drain()
    assert member(world, "same.txt") == same
    assert member(world, "other.txt").generation > other.generation
    assert member(world, "gone.txt").status is Status.DELETED
    assert world.builds(member(world, "gone.txt").id) == {}
    assert names_found(world, "bridge")[0] == "box.zip/other.txt"
    assert names_found(world, "jetty")[0] == "box.zip/more.txt"
    assert "box.zip/gone.txt" not in names_found(world, "ferry")


def test_a_file_that_comes_back_with_the_archive_is_there_again(world: World) -> None:
    for files in (FILES, {"a.txt": "The weir was opened."}, FILES):
        world.clock.pass_time(timedelta(hours=1))
        added(world, files)
        world.drain()
    assert member(world, "sub/b.txt").status is Status.INDEXED
    assert names_found(world, "sluice")[0] == "box.zip/sub/b.txt"


@pytest.mark.invariant("I8")
def test_what_came_in_a_deleted_archive_is_gone_from_search_at_once(world: World) -> None:
    """I8: the archive's record hides it, before its own record is changed."""
    archive = added(world, FILES)
    world.drain()
    world.delete(archive)
    assert member(world, "a.txt").status is Status.INDEXED
    assert world.search("weir").hits == ()


def test_a_search_asks_for_archives_only_where_hits_came_in_one(world: World) -> None:
    asked: list[list[str]] = []
    read_many = world.documents.read_many

    def read(tenant: TenantId, documents: Sequence[DocumentId]) -> Mapping[DocumentId, Document]:
        asked.append(list(documents))
        return read_many(tenant, documents)

    world.upload("The weir was repaired.", id="alone")
    world.drain()
    world.documents.read_many = read  # type: ignore[method-assign]
    world.search("weir")
    assert asked == [["alone"]]
    added(world, FILES)
    world.drain()
    asked.clear()
    world.search("weir")
    assert [len(each) for each in asked] == [3, 1]
    assert asked[1] == ["box"]


def test_a_deleted_archive_leaves_nothing_of_its_files(world: World) -> None:
    archive = added(world, {f"{number}.txt": prose(str(number), 4) for number in range(5)})
    kept = world.upload(prose("kept", 3), id="kept")
    world.drain()
    world.delete(archive)
    world.drain()
    assert world.record(archive).status is Status.DELETED
    assert {entry.document for entry in world.index.entries(TENANT)} == {"kept"}
    assert list(world.objects.objects) == [world.record(kept).original.key]
    assert member(world, "0.txt").status is Status.DELETED


def test_an_archive_is_not_reported_as_deleted_before_its_files_are(world: World) -> None:
    archive = added(world, FILES)
    world.drain()
    world.delete(archive)
    assert isinstance(world.run(world.take()), Redeliver)
    assert world.record(archive).status is Status.DELETING
    assert member(world, "a.txt").status is Status.DELETING


@pytest.mark.invariant("I6")
def test_files_of_an_extract_that_died_are_removed_with_the_archive(world: World) -> None:
    """I6: they are found by their objects, without a receipt; one of them even has no record."""
    archive = added(world, FILES)
    died_at(world, world.take(), file=2)
    orphan = member_id(TENANT, archive.document.id, ("c.txt",))
    world.objects.put(TENANT, f"files/{TENANT}/{orphan}", BytesIO(b"put, and then it died"))
    world.delete(archive)
    world.drain()
    assert world.record(archive).status is Status.DELETED
    assert world.objects.objects == {}


@pytest.mark.invariant("I2")
def test_an_older_extract_that_goes_on_brings_back_nothing(world: World) -> None:
    """I2: what a stalled worker still receives of an older archive is recognised as out of date."""
    added(world, {"a.txt": "The old weir."})
    stalled = world.take()

    def meanwhile() -> None:
        world.clock.pass_time(world.limits.lease + timedelta(seconds=1))
        added(world, {"a.txt": "The new weir."})
        world.drain()

    assert isinstance(world.run(stalled, meanwhile=meanwhile), Done)
    assert member(world, "a.txt").original.sha256 == hashlib.sha256(b"The new weir.").hexdigest()
    assert len(world.objects.objects[f"files/{TENANT}/{member(world, 'a.txt').id}"]) <= 2


@pytest.mark.invariant("I2")
def test_what_an_older_extract_puts_while_a_newer_one_ends_is_known_as_old(world: World) -> None:
    """I2: no lease is checked between storing an object and writing its record; the archive's generation decides."""
    added(world, {"a.txt": "The old weir.", "b.txt": "The old lock."})
    stalled, put = world.take(), world.objects.put

    def put_late(*args: object, **kwargs: object) -> Stored:
        world.objects.put = put  # type: ignore[method-assign]
        world.clock.pass_time(world.limits.lease + timedelta(seconds=1))
        added(world, {"a.txt": "The new weir."})
        world.drain()
        return put(*args, **kwargs)  # type: ignore[arg-type]

    world.objects.put = put_late  # type: ignore[method-assign]
    world.run(stalled)
    world.drain()
    assert member(world, "a.txt").original.sha256 == hashlib.sha256(b"The new weir.").hexdigest()
    assert names_found(world, "old lock") == names_found(world, "new weir") == ["box.zip/a.txt"]
    archive = world.record(DocumentId("box"))
    request_removal(world.services, TENANT, archive.id)
    world.drain()
    assert world.objects.objects == {}


def test_a_removal_of_an_older_archive_leaves_what_a_newer_one_brought(world: World) -> None:
    added(world, FILES)
    world.drain()
    before = world.record(DocumentId("box"))
    world.clock.pass_time(timedelta(hours=1))
    added(world, {"a.txt": "Another weir.", "sub/b.txt": "Another sluice."})
    world.drain()
    remove_members(world.services, before)  # by one that stalled
    world.drain()
    assert member(world, "a.txt").status is Status.INDEXED


def test_a_file_that_was_deleted_by_itself_stays_so_until_the_archive_changes(world: World) -> None:
    archive = added(world, FILES)
    message = world.take()
    outcome = died_at(world, message, file=2)
    request_removal(world.services, TENANT, member(world, "a.txt").id)
    world.drain()
    world.clock.pass_time(outcome.delay)
    world.run(message)
    world.drain()
    assert world.record(archive).status is Status.INDEXED
    assert member(world, "a.txt").status is Status.DELETED
    assert f"files/{TENANT}/{member(world, 'a.txt').id}" not in world.objects.objects
    world.clock.pass_time(timedelta(hours=1))
    added(world, {**FILES, "c.txt": "And a lock."})
    world.drain()
    assert member(world, "a.txt").status is Status.INDEXED


def test_an_archive_that_becomes_something_else_takes_its_files_along(world: World) -> None:
    added(world, FILES)
    world.drain()
    world.upload("Not an archive any more.", id="box")
    world.drain()
    assert member(world, "a.txt").status is Status.DELETED
    assert names_found(world, "archive")[0] == "file.txt"


def test_a_file_that_is_too_large_is_left_out_and_named(world: World) -> None:
    world.with_limits(file_bytes=1000)
    archive = added(world, {"large.txt": "x" * 1001, "a.txt": "The weir."})
    world.drain()
    record = world.record(archive)
    assert record.status is Status.PARTIAL
    assert record.receipt is not None
    assert (record.receipt.members, record.receipt.pages_damaged) == (1, "1")
    assert record.receipt.warnings == (f"large.txt: {TooLarge(limit=1000)}",)


def test_an_archive_of_which_nothing_is_taken_has_no_text(world: World) -> None:
    archive = added(world, {"a.txt": "", "b.txt": ""})
    world.drain()
    assert world.record(archive).status is Status.NO_TEXT


def test_an_archive_longer_than_a_run_goes_on_in_the_next(world: Halting) -> None:
    added(world, {f"{number}.txt": f"Number {number}." for number in range(4)})
    message, put = world.take(), world.objects.put
    runs = 0

    def put_one(*args: object, **kwargs: object) -> Stored:
        world.stop_request = StopRequest("900 seconds", "Set Workers=ecs")
        return put(*args, **kwargs)  # type: ignore[arg-type]

    world.objects.put = put_one  # type: ignore[method-assign]
    while isinstance(outcome := world.run(message), Redeliver):
        assert outcome.delay == timedelta(0)
        world.stop_request, runs = None, runs + 1
    world.stop_request = None
    world.drain()
    record = world.record(DocumentId("box"))
    assert (runs, record.status, record.lease.attempts) == (3, Status.INDEXED, 0)
    assert member(world, "3.txt").status is Status.INDEXED


def test_an_archive_of_which_a_run_takes_nothing_says_so(world: Halting) -> None:
    archive = added(world, FILES)
    world.stop_request = StopRequest("900 seconds", "Set Workers=ecs")
    world.drain()
    failure = world.record(archive).failure
    assert failure is not None
    assert failure.code == "out_of_time"


@pytest.mark.invariant("I3")
def test_an_id_comes_from_tenant_archive_and_path_alone() -> None:
    """I3; and a file in an archive within is another than one of a folder of that name."""
    box = DocumentId("x" * 128)
    one = member_id(TENANT, box, ("in.zip", "a.txt"))
    assert one == member_id(TENANT, box, ("in.zip", "a.txt"))
    others = [
        member_id(TENANT, box, ("in.zip/a.txt",)),
        member_id(TENANT, DocumentId("y"), ("in.zip", "a.txt")),
        member_id(type(TENANT)("other"), box, ("in.zip", "a.txt")),
    ]
    assert len({one, *others}) == 4
    assert len(one) == 49


def test_the_name_of_a_member_is_on_one_line_and_no_longer_than_any() -> None:
    assert member_name("box.zip", ("../../etc/passwd",)) == "box.zip/../../etc/passwd"
    assert member_name("box.zip", ("\u202egnp.exe\n.txt",)) == "box.zip/gnp.exe.txt"
    long = member_name("box.zip", ("ü" * 1000 + ".pdf",))
    assert len(long.encode()) <= 255
    assert long.startswith("box.zip/")
    assert long.endswith(".pdf")
