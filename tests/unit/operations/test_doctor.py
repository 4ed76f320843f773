"""Doctor: table, bucket and index are compared, what is wrong is reported and repaired, what is right is left alone."""

from __future__ import annotations

import hashlib
import json
import tracemalloc
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import pytest
from typer.testing import CliRunner

from penstock.cli import doctor as command
from penstock.cli.main import app
from penstock.documents.archive_members import member_id
from penstock.documents.receive import Received, Upload, receive_upload
from penstock.domain.chunk import Count
from penstock.domain.document import Document, Edition, Original
from penstock.domain.errors import Fenced, PasswordRequired
from penstock.domain.ids import BuildId, DocumentId, TenantId
from penstock.domain.lease import Lease
from penstock.domain.receipt import Receipt
from penstock.domain.status import Status
from penstock.domain.task import Lane
from penstock.operations.doctor.case import Kind
from penstock.operations.doctor.examine import examine
from penstock.operations.external_sort import sorted_on_disk
from penstock.ports import Change, Listed
from penstock.services import Services
from tests.support.sample_files import zip_of
from tests.support.world import TENANT, FakeClock, World, prose

KEY = "drop/acme/wiki/a.txt"


@pytest.fixture
def world() -> World:
    """A world with a document that is as it should be."""
    world = World()
    world.upload(prose("sound", 5), id="sound")
    world.drain()
    return world


def later(world: World, length: timedelta = timedelta(hours=2)) -> None:
    """Wait until nothing can be on its way any more."""
    world.clock.pass_time(length)


def kinds(world: World) -> list[tuple[Kind, str]]:
    return [(finding.kind, finding.document) for finding in examine(world.services, TENANT)]


def repair(world: World) -> None:
    for finding in examine(world.services, TENANT):
        if finding.remedy is not None:
            finding.repair()
    world.drain()


def indexed(world: World, name: str = "one", paragraphs: int = 3) -> Received:
    received = world.upload(prose(name, paragraphs), id=name)
    world.drain()
    return received


# What is right


@pytest.mark.parametrize(
    "bring",
    [
        lambda world: None,
        lambda world: world.upload("waits", id="one"),
        lambda world: [world.upload(prose("a", 9), id="one"), world.run(world.take())],
        lambda world: [indexed(world), indexed(world), world.upload(prose("b", 9), id="one"), world.drain()],
        lambda world: [setattr(world.reader, "fail", PasswordRequired()), world.upload("x", id="one"), world.drain()],
        lambda world: world.cancel(world.upload("x", id="one")),
        lambda world: [world.delete(indexed(world)), world.drain()],
        lambda world: world.delete(indexed(world)),
        lambda world: [world.receive(world.drop(KEY, "in the folder", "01")), world.drain()],
        lambda world: world.drop(KEY, "its event is on its way", "01"),
        lambda world: world.objects.put(TENANT, f"files/{TENANT}/new", BytesIO(b"its record is on its way")),
    ],
)
@pytest.mark.parametrize("after", [timedelta(0), timedelta(minutes=10)])
def test_what_is_as_it_should_be_is_not_found(world: World, bring: Callable[[World], Any], after: timedelta) -> None:
    bring(world)
    later(world, after)
    assert kinds(world) == []


def test_a_document_that_changes_while_it_is_looked_at_is_left_alone(world: World) -> None:
    received = indexed(world)
    world.lose_chunk()
    read = world.documents.read

    def and_changes(tenant: TenantId, document: DocumentId) -> Document | None:
        found = read(tenant, document)
        if found is not None:
            world.documents.write(TENANT, Change(found, replace(found, pages_read=found.pages_read + 1)))
        return found

    assert len(kinds(world)) == 1
    world.documents.read = and_changes  # type: ignore[method-assign]
    assert kinds(world) == []
    assert received.document.id


# What is wrong, and how it is repaired


def test_an_original_that_is_gone_is_named_but_nothing_is_removed(world: World) -> None:
    received = indexed(world)
    world.objects.remove(TENANT, received.document.original.key)
    (finding,) = examine(world.services, TENANT)
    assert (finding.kind, finding.document, finding.remedy) == (Kind.ORIGINAL_MISSING, "one", None)
    assert "add the file again" in finding.what
    repair(world)
    assert world.record(received).status is Status.INDEXED


def test_a_file_that_left_the_folder_unheard_is_deleted(world: World) -> None:
    received = world.receive(world.drop(KEY, "some text", "01"))
    assert received is not None
    world.drain()
    world.objects.mark_deleted(KEY)
    later(world)
    assert kinds(world) == [(Kind.REMOVAL_UNHEARD, received.document.id)]
    repair(world)
    assert world.record(received).status is Status.DELETED
    assert kinds(world) == []


@pytest.mark.parametrize("known", [False, True])
def test_a_file_that_nobody_heard_of_is_received(world: World, known: bool) -> None:
    """Also newer bytes of a file that is known."""
    if known:
        world.receive(world.drop(KEY, "older text", "01"))
        world.drain()
    world.drop(KEY, "newer text", "02")
    later(world)
    ((kind, _),) = kinds(world)
    assert kind is Kind.ARRIVAL_UNHEARD
    repair(world)
    assert [hit.text for hit in world.search("text").hits if hit.name == "a.txt"] == ["newer text"]
    assert kinds(world) == []


def test_a_file_that_came_after_its_document_was_deleted_is_received_and_one_from_before_removed(world: World) -> None:
    received = world.receive(world.drop(KEY, "some text", "01"))
    assert received is not None
    world.drain()
    left = list(world.objects.objects[KEY])
    world.delete(received)
    world.drain()
    world.objects.objects[KEY] = left
    later(world)
    assert kinds(world) == [(Kind.OBJECT_WITHOUT_DOCUMENT, received.document.id)]
    repair(world)
    assert KEY not in world.objects.objects
    world.drop(KEY, "other text", "02")
    later(world)
    assert kinds(world) == [(Kind.ARRIVAL_UNHEARD, received.document.id)]
    repair(world)
    assert world.record(received).status is Status.INDEXED


def test_bytes_whose_record_never_was_are_removed(world: World) -> None:
    """No caller has got an answer that they were accepted."""
    world.objects.put(TENANT, f"files/{TENANT}/lost", BytesIO(b"bytes"))
    later(world)
    assert kinds(world) == [(Kind.OBJECT_WITHOUT_DOCUMENT, "lost")]
    repair(world)
    assert kinds(world) == []
    assert f"files/{TENANT}/lost" not in world.objects.objects


def test_what_came_in_an_archive_that_is_gone_is_removed(world: World) -> None:
    """The worker that received it had stalled until the archive was deleted."""
    content = zip_of({"a.txt": "A lock."})
    upload = Upload(BytesIO(content), "box.zip", len(content), hashlib.sha256(content).hexdigest(), "application/zip")
    box = DocumentId("box")
    receive_upload(world.services, TENANT, upload, document=box, source="", lane=Lane.BULK, metadata={})
    world.drain()
    assert kinds(world) == []
    member, record = member_id(TENANT, box, ("a.txt",)), world.record(box)
    world.documents.write(TENANT, Change(record, None))
    world.objects.remove(TENANT, record.original.key)
    assert kinds(world) == [(Kind.ARCHIVE_GONE, member)]
    repair(world)
    assert world.record(member).status is Status.DELETED
    assert kinds(world) == []


@pytest.mark.parametrize("kind", ["upload", "drop"])
def test_what_comes_between_the_look_and_the_repair_is_kept(world: World, kind: str) -> None:
    """Accepted means kept."""
    dropped = kind == "drop"
    if dropped:
        world.receive(world.drop(KEY, "older text", "01"))
        world.drain()
        world.objects.mark_deleted(KEY)
    else:
        world.objects.put(TENANT, f"files/{TENANT}/one", BytesIO(b"older text"))
    later(world)
    (finding,) = examine(world.services, TENANT)
    received = (
        world.receive(world.drop(KEY, "new text", "02")) if kind == "drop" else world.upload("new text", id="one")
    )
    assert received is not None
    try:
        finding.repair()
    except Fenced:
        assert dropped
    world.drain()
    assert world.record(received).status is Status.INDEXED
    with world.objects.get(TENANT, received.document.original.key, received.document.original.version) as blocks:
        assert b"".join(blocks) == b"new text"
    assert kinds(world) == []


def test_an_upload_that_nobody_heard_of_leaves_its_door(world: World) -> None:
    world.objects.put(TENANT, f"uploads/{TENANT}/{'a' * 32}/file", BytesIO(b"bytes"))
    later(world)
    assert [kind for kind, _ in kinds(world)] == [Kind.ARRIVAL_UNHEARD]
    repair(world)
    assert kinds(world) == []


def test_work_files_and_receipts_of_no_attempt_are_removed(world: World) -> None:
    received = indexed(world, paragraphs=9)
    record = world.record(received)
    for place in (f"work/{TENANT}/one/{record.generation}/7/0.json", f"work/{TENANT}/gone/1/1/3.json"):
        world.objects.put(TENANT, place, BytesIO(b"{}"))
    world.objects.put(TENANT, f"receipts/{TENANT}/one/{record.generation - 1}/1.json", BytesIO(b"{}"))
    later(world)
    world.objects.put(TENANT, f"work/{TENANT}/one/{record.generation}/1/9.json", BytesIO(b"new"))
    assert sorted(kinds(world)) == [(Kind.FILES_LEFT, "gone"), (Kind.FILES_LEFT, "one")]
    repair(world)
    left = [key for key in world.objects.objects if key.startswith(("work/", "receipts/"))]
    assert len(left) == 2, "of a later build, and one that was stored just now"


@pytest.mark.parametrize("whose", ["of nobody", "of an older build", "of a tombstone"])
def test_chunks_that_no_reader_sees_are_cleared(world: World, whose: str) -> None:
    received = indexed(world)
    entries = [entry for entry in world.index.entries(TENANT) if entry.document == "one"]
    changed: dict[str, Any] = {
        "of nobody": {"document": DocumentId("gone")},
        "of an older build": {"build_id": BuildId(entries[0].build_id.generation - 1, 1)},
        "of a tombstone": {},
    }[whose]
    if whose == "of a tombstone":
        world.delete(received)
        world.drain()
    world.index.put(TENANT, [replace(entry, **changed) for entry in entries])
    assert kinds(world) == [(Kind.CHUNKS_LEFT, str(changed.get("document", "one")))]
    repair(world)
    assert kinds(world) == []
    seen = {entry.build_id for entry in world.index.entries(TENANT) if entry.document == "one"}
    assert seen == (set() if whose == "of a tombstone" else {entries[0].build_id})


def test_what_the_index_lost_is_indexed_again_and_only_that_is_paid_for(world: World) -> None:
    received = indexed(world, paragraphs=9)
    record = world.record(received)
    assert record.receipt is not None
    shelf = world.index.shelves[TENANT]
    for lost in [key for key, entry in shelf.items() if entry.document == "one"][:2]:
        del shelf[lost]
    paid = len(world.embedder.embedded)
    assert kinds(world) == [(Kind.COUNTS_DIFFER, "one")]
    repair(world)
    world.clock.pass_time(world.limits.lease)
    world.sweep()
    again = world.record(received)
    assert (again.status, again.generation) == (Status.INDEXED, record.generation)
    assert world.builds(record.id) == {again.visible: record.receipt.chunks}
    assert len(world.embedder.embedded) == paid + 2
    assert kinds(world) == []


def test_work_that_the_sweep_has_missed_is_processed(world: World) -> None:
    received = world.upload(prose("a", 1), id="one")
    world.queue.sent.clear()
    later(world)
    assert kinds(world) == [(Kind.OVERDUE, "one")]
    repair(world)
    assert world.record(received).status is Status.INDEXED


def test_work_that_no_sweep_would_ever_find_is_processed(world: World) -> None:
    received = world.upload(prose("a", 1), id="one")
    world.queue.sent.clear()
    record = world.record(received)
    world.documents.write(TENANT, Change(record, replace(record, sweep_at=None)))
    assert kinds(world) == [(Kind.OVERDUE, "one")]
    repair(world)
    assert world.record(received).status is Status.INDEXED


@pytest.mark.invariant("I10")
def test_another_tenants_documents_are_not_looked_at(world: World) -> None:
    """I10."""
    other = TenantId("other")
    world.objects.put(other, f"files/{other}/lost", BytesIO(b"bytes"))
    later(world)
    assert kinds(world) == []
    assert [finding.document for finding in examine(world.services, other)] == ["lost"]


# Its memory


def test_lines_are_sorted_whatever_their_number(tmp_path: object) -> None:
    lines = [f"{number * 7919 % 10_007:05}" for number in range(10_007)]
    for run in (1, 100, 20_000):
        with sorted_on_disk(lines if run > 1 else lines[:500], run=run) as found:
            assert list(found) == sorted(lines if run > 1 else lines[:500])


class Many:
    """A tenant with this many documents, none of which is held in memory. One in a thousand has lost its chunks."""

    def __init__(self, documents: int) -> None:
        self._count = documents
        self._began = datetime(2026, 1, 1, tzinfo=UTC)

    def services(self) -> Services:
        spare = World().services
        return replace(spare, documents=self, objects=self, index=self, clock=FakeClock())  # type: ignore[arg-type]

    def refresh(self, tenant: TenantId) -> None:
        pass

    def _record(self, document: DocumentId) -> Document:
        receipt = Receipt("text", "fake", False, 1, 1, chunks=2, vectors=2)
        original = Original(f"files/{TENANT}/{document}", "v1", "n", 1, "e")
        edition = Edition(BuildId(1, 1), original, receipt, "api")
        return Document(
            TENANT, document, 1, Status.INDEXED, self._began, original, "api",
            build=1, lease=Lease(1), active=edition, receipt=receipt,
        )  # fmt: skip

    def newest(
        self, tenant: TenantId, limit: int, before: tuple[datetime, DocumentId] | None = None
    ) -> Sequence[tuple[datetime, DocumentId]]:
        first = 0 if before is None else int(before[1][1:]) + 1
        numbers = range(first, min(first + limit, self._count))
        return [(self._began, DocumentId(f"d{number:08}")) for number in numbers]

    def read_many(self, tenant: TenantId, documents: Sequence[DocumentId]) -> Mapping[DocumentId, Document]:
        return {document: self._record(document) for document in documents}

    def read(self, tenant: TenantId, document: DocumentId) -> Document:
        return self._record(document)

    def listed(self, tenant: TenantId, prefix: str) -> Iterator[Listed]:
        if prefix == f"files/{TENANT}/":
            for number in range(self._count):
                yield Listed(f"{prefix}d{number:08}", "v1", 1, "e", self._began, latest=True, marker=False)
        elif prefix.startswith(f"files/{TENANT}/d"):
            yield Listed(prefix, "v1", 1, "e", self._began, latest=True, marker=False)

    def builds(
        self, tenant: TenantId, document: DocumentId | None = None
    ) -> Iterator[tuple[DocumentId, BuildId, Count]]:
        numbers = range(self._count) if document is None else [int(document[1:])]
        for number in numbers:
            if number % 1000:
                yield DocumentId(f"d{number:08}"), BuildId(1, 1), Count(2, 2)


@pytest.mark.invariant("I12")
def test_memory_does_not_grow_with_the_number_of_documents() -> None:
    """I12."""

    def peak(documents: int) -> int:
        services = Many(documents).services()
        tracemalloc.start()
        try:
            found = sum(1 for _ in examine(services, TENANT, run=500))
            assert found == documents // 1000
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    few = peak(2_000)
    assert peak(20_000) < few + 2_000_000, "ten times as many: what is more is the files that are merged"


# The command


@pytest.fixture
def shell(world: World, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.setattr(command, "operator_services", lambda: world.services)
    monkeypatch.setenv("PENSTOCK_TENANT", TENANT)

    def run(*arguments: str, code: int) -> Any:
        result = CliRunner().invoke(app, ["doctor", *arguments])
        assert result.exit_code == code, result.output
        lines = result.stdout.splitlines()
        return [json.loads(line) for line in lines] if "--json" in arguments else result.stdout

    return run


def test_it_says_what_it_would_do_and_does_it_only_with_fix(world: World, shell: Callable[..., Any]) -> None:
    assert "nothing is wrong" in shell(code=0)
    world.objects.put(TENANT, f"files/{TENANT}/lost", BytesIO(b"bytes"))
    later(world)
    before = dict(world.objects.objects)
    said = shell(code=1)
    assert "lost" in said
    assert "Would: remove it from the bucket." in said
    assert world.objects.objects == before
    finding, total = shell("--json", code=1)
    assert (finding["kind"], finding["mended"]) == ("object_without_document", False)
    assert total == {"tenant": "acme", "findings": 1, "mended": 0, "kinds": {"object_without_document": 1}}
    assert "Now: remove it" in shell("--fix", code=0)
    assert shell("--json", code=0) == [{"tenant": "acme", "findings": 0, "mended": 0, "kinds": {}}]


def test_without_a_tenant_it_looks_at_all_of_them(
    world: World, shell: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At tenants that have documents, and at tenants that have objects only."""
    monkeypatch.delenv("PENSTOCK_TENANT")
    other = TenantId("other")
    world.upload("sound too", tenant=other)
    world.drain()
    world.objects.put(TenantId("gone"), "files/gone/lost", BytesIO(b"bytes"))
    world.objects.put(TenantId("No Tenant"), "drop/No Tenant/lost", BytesIO(b"bytes"))
    later(world)
    *lines, last = shell("--json", code=1)
    assert [(each["tenant"], each.get("findings")) for each in (*lines, last)] == [
        ("acme", 0),
        ("gone", None),
        ("gone", 1),
        ("other", 0),
    ]
    assert "gone: nothing is wrong" not in shell("--fix", code=0)
    assert "gone: nothing is wrong" not in shell(code=0), "nobody is left"


def test_what_cannot_be_repaired_is_reported_again(world: World, shell: Callable[..., Any]) -> None:
    world.objects.remove(TENANT, f"files/{TENANT}/sound")
    assert "original_missing" in shell("--fix", code=1)
