"""The promises of every document table."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from datetime import timedelta
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.adapters.aws.budget import DynamoProviderBudgetTable
from penstock.adapters.aws.clients import aws_clients
from penstock.adapters.aws.documents import DynamoDocumentTable
from penstock.adapters.aws.items import BUILD, DOCUMENT, LEASE, ORIGINAL, RECEIPT, packed
from penstock.domain.build import Build
from penstock.domain.document import Document
from penstock.domain.errors import (
    Conflict,
    ForeignKey,
    IllegalTransition,
    Misconfigured,
    Refused,
    Transient,
    UnknownItem,
)
from penstock.domain.ids import BuildId, DocumentId, TenantId
from penstock.domain.lease import Lease
from penstock.domain.provider_budget import ProviderBudget
from penstock.domain.receipt import Receipt
from penstock.domain.status import Status
from penstock.domain.task import Lane
from penstock.ports import Change, DocumentTable
from tests.contract import records
from tests.contract.conftest import Stack
from tests.contract.records import NOW, document

ON_AWS = pytest.mark.parametrize("stack", ["moto", "ministack"], indirect=True)
EXAMPLES = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def test_nothing_is_read_where_nothing_was_written(documents: DocumentTable, tenant: TenantId) -> None:
    assert documents.read(tenant, DocumentId("none")) is None
    assert documents.read_build(tenant, DocumentId("none"), BuildId(1, 1)) is None
    assert documents.read_many(tenant, [DocumentId("none")]) == {}
    assert documents.read_many(tenant, []) == {}
    assert documents.newest(tenant, 10) == []


@EXAMPLES
@given(data=st.data())
def test_a_record_is_read_as_it_was_written(data: st.DataObject, documents: DocumentTable, tenant: TenantId) -> None:
    written = data.draw(records.documents(tenant))
    before = documents.read(tenant, written.id)
    if before is not None:
        documents.write(tenant, Change(before, None))
    documents.write(tenant, Change(None, written))
    assert documents.read(tenant, written.id) == replace(written, revision=1)


@EXAMPLES
@given(data=st.data())
def test_a_build_is_read_as_it_was_written(data: st.DataObject, documents: DocumentTable, tenant: TenantId) -> None:
    written = data.draw(records.builds(tenant))
    before = documents.read_build(tenant, written.document, written.build_id)
    if before is not None:
        documents.write(tenant, Change(before, None))
    documents.write(tenant, Change(None, written))
    assert documents.read_build(tenant, written.document, written.build_id) == replace(written, revision=1)


def test_record_and_build_are_read_together_each_where_it_is(documents: DocumentTable, tenant: TenantId) -> None:
    record = document(tenant)
    build, other = (Build(tenant, record.id, BuildId(record.generation, epoch)) for epoch in (7, 8))
    for stored, found in (
        (None, (None, None)),
        (build, (None, replace(build, revision=1))),
        (record, (replace(record, revision=1), replace(build, revision=1))),
        (other, (replace(record, revision=1), replace(build, revision=1))),
    ):
        if stored is not None:
            documents.write(tenant, Change(None, stored))
        assert documents.read_both(tenant, record.id, build.build_id) == found
    assert documents.read_both(tenant, record.id, BuildId(1, 1)) == (replace(record, revision=1), None)


def test_each_write_of_an_item_has_the_next_revision(documents: DocumentTable, tenant: TenantId) -> None:
    documents.write(tenant, Change(None, document(tenant, revision=77)))
    first = documents.read(tenant, DocumentId("document"))
    assert first is not None
    assert first.revision == 1
    documents.write(tenant, Change(first, replace(first, resend_wait=5, revision=77)))
    second = documents.read(tenant, DocumentId("document"))
    assert second == replace(first, resend_wait=5, revision=2)


@pytest.mark.invariant("I2")
def test_a_write_on_an_older_reading_is_refused_and_changes_nothing(documents: DocumentTable, tenant: TenantId) -> None:
    """I2: the condition names what was read."""
    documents.write(tenant, Change(None, document(tenant)))
    read = documents.read(tenant, DocumentId("document"))
    assert read is not None
    documents.write(tenant, Change(read, replace(read, resend_wait=1)))
    for after in (replace(read, resend_wait=2), None):
        with pytest.raises(Conflict):
            documents.write(tenant, Change(read, after))
    assert documents.read(tenant, read.id) == replace(read, resend_wait=1, revision=2)


@pytest.mark.invariant("I2")
def test_a_write_that_believes_in_another_generation_is_refused(documents: DocumentTable, tenant: TenantId) -> None:
    """I2: the condition names the generation as well as the revision."""
    documents.write(tenant, Change(None, document(tenant, generation=5)))
    imagined = document(tenant, generation=4, revision=1)
    with pytest.raises(Conflict):
        documents.write(tenant, Change(imagined, replace(imagined, resend_wait=1)))


def test_a_new_item_is_refused_where_there_is_one(documents: DocumentTable, tenant: TenantId) -> None:
    documents.write(tenant, Change(None, document(tenant)))
    with pytest.raises(Conflict):
        documents.write(tenant, Change(None, document(tenant, resend_wait=9)))


def test_a_change_of_what_is_gone_is_refused(documents: DocumentTable, tenant: TenantId) -> None:
    gone = document(tenant, revision=1)
    for after in (replace(gone, resend_wait=1), None):
        with pytest.raises(Conflict):
            documents.write(tenant, Change(gone, after))
    assert documents.read(tenant, gone.id) is None


def test_a_removed_item_is_gone(documents: DocumentTable, tenant: TenantId) -> None:
    documents.write(tenant, Change(None, document(tenant)))
    documents.write(tenant, Change(documents.read(tenant, DocumentId("document")), None))
    assert documents.read(tenant, DocumentId("document")) is None
    assert documents.newest(tenant, 10) == []


ATOMIC = pytest.mark.parametrize("documents", ["fake", "ministack"], indirect=True)
"""The adapters whose writes are atomic. moto's server checks the condition and writes in two steps, so that two threads
can both pass; DynamoDB and these do both in one step."""


@pytest.mark.invariant("I2")
@ATOMIC
def test_of_many_writers_of_the_same_reading_exactly_one_wins(documents: DocumentTable, tenant: TenantId) -> None:
    """I2: the first claim wins, and each loser gets a Conflict."""
    documents.write(tenant, Change(None, document(tenant)))
    for _ in range(5):
        read = documents.read(tenant, DocumentId("document"))
        assert read is not None
        # All write the same, like two workers that claim within one millisecond.
        claimed = replace(read, lease=Lease(read.lease.epoch + 1, NOW))
        assert _winners(lambda _, read=read, claimed=claimed: documents.write(tenant, Change(read, claimed))) == 1


@ATOMIC
def test_of_many_writers_of_a_new_item_exactly_one_wins(documents: DocumentTable, tenant: TenantId) -> None:
    for number in range(5):
        id_ = f"document-{number}"
        assert (
            _winners(
                lambda each, id_=id_: documents.write(tenant, Change(None, document(tenant, id_, resend_wait=each)))
            )
            == 1
        )


@ATOMIC
def test_of_many_transactions_over_the_same_items_at_most_one_wins(documents: DocumentTable, tenant: TenantId) -> None:
    """Two writers that meet may both get a Conflict, but never may both write."""
    record, build = document(tenant), Build(tenant, DocumentId("document"), BuildId(1, 1))
    won = _winners(lambda _: documents.write(tenant, Change(None, record), Change(None, build)))
    assert won <= 1
    there = documents.read(tenant, record.id), documents.read_build(tenant, record.id, build.build_id)
    assert there == ((replace(record, revision=1), replace(build, revision=1)) if won else (None, None))


def _winners(write: Callable[[int], None], writers: int = 8) -> int:
    together = threading.Barrier(writers)

    def attempt(number: int) -> bool:
        together.wait()
        try:
            write(number)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(writers) as threads:
        return sum(threads.map(attempt, range(writers)))


def test_several_changes_are_written_together(documents: DocumentTable, tenant: TenantId) -> None:
    record, build = document(tenant), Build(tenant, DocumentId("document"), BuildId(1, 1))
    documents.write(tenant, Change(None, record), Change(None, build))
    record, build = replace(record, revision=1), replace(build, revision=1)
    assert documents.read(tenant, record.id) == record
    assert documents.read_build(tenant, record.id, build.build_id) == build
    documents.write(tenant, Change(record, replace(record, resend_wait=3)), Change(build, None))
    assert documents.read(tenant, record.id) == replace(record, resend_wait=3, revision=2)
    assert documents.read_build(tenant, record.id, build.build_id) is None


@pytest.mark.invariant("I2")
@pytest.mark.parametrize("stale", ["record", "build"])
def test_where_one_change_is_refused_none_is_written(documents: DocumentTable, tenant: TenantId, stale: str) -> None:
    """I2: total and status `embedding` are one transaction."""
    record, build = document(tenant), Build(tenant, DocumentId("document"), BuildId(1, 1))
    documents.write(tenant, Change(None, record), Change(None, build))
    record, build = replace(record, revision=1), replace(build, revision=1)
    moved: Change = (
        Change(record, replace(record, resend_wait=1)) if stale == "record" else Change(build, replace(build, total=1))
    )
    documents.write(tenant, moved)
    before = documents.read(tenant, record.id), documents.read_build(tenant, record.id, build.build_id)
    with pytest.raises(Conflict):
        documents.write(tenant, Change(record, replace(record, resend_wait=7)), Change(build, replace(build, total=7)))
    assert (documents.read(tenant, record.id), documents.read_build(tenant, record.id, build.build_id)) == before


def test_no_change_is_no_write(documents: DocumentTable, tenant: TenantId) -> None:
    documents.write(tenant)


def test_a_move_that_the_table_of_states_does_not_know_is_not_written(
    documents: DocumentTable, tenant: TenantId
) -> None:
    documents.write(tenant, Change(None, document(tenant)))
    read = documents.read(tenant, DocumentId("document"))
    assert read is not None
    with pytest.raises(IllegalTransition):
        documents.write(tenant, Change(read, replace(read, status=Status.INDEXED)))


@pytest.mark.invariant("I10")
def test_no_call_reaches_a_document_of_another_tenant(
    documents: DocumentTable, tenant: TenantId, stranger: TenantId
) -> None:
    """I10: the tenant is the first part of every key."""
    written, build = document(tenant), Build(tenant, DocumentId("document"), BuildId(1, 1))
    documents.write(tenant, Change(None, written), Change(None, build))
    assert documents.read(stranger, written.id) is None
    assert documents.read_many(stranger, [written.id]) == {}
    assert documents.read_build(stranger, written.id, build.build_id) is None
    assert documents.newest(stranger, 10) == []
    read = replace(written, revision=1)
    for change in (
        Change(read, replace(read, resend_wait=1)),
        Change(read, None),
        Change(None, document(tenant, "other")),
    ):
        with pytest.raises(ForeignKey):
            documents.write(stranger, change)
    assert documents.read(tenant, written.id) == read
    assert documents.read(tenant, DocumentId("other")) is None


@pytest.mark.invariant("I10")
def test_two_tenants_may_have_documents_of_the_same_id(
    documents: DocumentTable, tenant: TenantId, stranger: TenantId
) -> None:
    """I10."""
    documents.write(tenant, Change(None, document(tenant, resend_wait=1)))
    documents.write(stranger, Change(None, document(stranger, resend_wait=2)))
    mine, theirs = (documents.read(each, DocumentId("document")) for each in (tenant, stranger))
    assert mine is not None
    assert theirs is not None
    assert (mine.resend_wait, theirs.resend_wait) == (1, 2)


def test_more_records_than_one_batch_are_read_at_once(documents: DocumentTable, tenant: TenantId) -> None:
    ids = [_add(documents, document(tenant, f"document-{number}")) for number in range(120)]
    found = documents.read_many(tenant, [*ids, ids[0], DocumentId("none")])
    assert set(found) == set(ids)
    assert all(found[id_].id == id_ for id_ in ids)


def test_the_list_is_newest_first_and_pages_by_cursor(documents: DocumentTable, tenant: TenantId) -> None:
    # Several have the same time: their order is by id.
    for number in range(115):
        _add(documents, document(tenant, f"document-{number}", accepted=NOW + timedelta(seconds=number // 4)))
    seen = []
    before = None
    while page := documents.newest(tenant, 30, before):
        seen += page
        before = page[-1]
    assert len(set(seen)) == 115
    assert all(one > next_ for one, next_ in pairwise(seen))
    assert list(documents.newest(tenant, 200)) == seen


def test_a_document_that_is_accepted_again_moves_to_the_top(documents: DocumentTable, tenant: TenantId) -> None:
    _add(documents, document(tenant, "older"))
    _add(documents, document(tenant, "newer", accepted=NOW + timedelta(seconds=1)))
    older = documents.read(tenant, DocumentId("older"))
    assert older is not None
    documents.write(tenant, Change(older, replace(older, generation=2, accepted=NOW + timedelta(seconds=2))))
    assert [id_ for _, id_ in documents.newest(tenant, 10)] == ["older", "newer"]


def test_a_tombstone_is_not_listed(documents: DocumentTable, tenant: TenantId) -> None:
    _add(documents, document(tenant, "alive"))
    _add(documents, document(tenant, "dying", status=Status.DELETING))
    dying = documents.read(tenant, DocumentId("dying"))
    assert dying is not None
    documents.write(tenant, Change(dying, replace(dying, status=Status.DELETED, expires_at=NOW)))
    assert [id_ for _, id_ in documents.newest(tenant, 10)] == ["alive"]
    assert documents.read(tenant, DocumentId("dying")) is not None


@pytest.mark.invariant("I6")
def test_what_is_due_is_found_over_all_tenants(documents: DocumentTable, tenant: TenantId, stranger: TenantId) -> None:
    """I6: the sweep finds what is due, and nothing that is final or due later."""
    past = NOW - timedelta(days=365)  # earlier than anything that another test leaves on a shared emulator
    _add(documents, document(tenant, "now", sweep_at=past))
    _add(documents, document(stranger, "earlier", sweep_at=past - timedelta(seconds=9)))
    _add(documents, document(tenant, "later", sweep_at=past + timedelta(milliseconds=1)))
    _add(documents, document(tenant, "final", status=Status.INDEXED))
    found = [each for each in documents.due(past, 100) if each[0] in {tenant, stranger}]
    assert set(found) == {(tenant, "now"), (stranger, "earlier")}


def test_what_is_due_no_more_is_not_found(documents: DocumentTable, tenant: TenantId) -> None:
    past = NOW - timedelta(days=400)
    _add(documents, document(tenant, sweep_at=past))
    read = documents.read(tenant, DocumentId("document"))
    assert read is not None
    documents.write(tenant, Change(read, replace(read, sweep_at=None)))
    assert [each for each in documents.due(past, 100) if each[0] == tenant] == []


def test_no_more_is_found_due_than_was_asked_for_and_the_earliest_come_first(
    documents: DocumentTable, tenant: TenantId
) -> None:
    past = NOW - timedelta(days=3650)
    for number in range(30):
        _add(documents, document(tenant, f"document-{number}", sweep_at=past + timedelta(seconds=number)))
    found = documents.due(past + timedelta(seconds=29), 10)
    assert found == [(tenant, f"document-{number}") for number in range(10)]


def test_it_says_that_it_is_there(documents: DocumentTable) -> None:
    documents.check()


def _add(documents: DocumentTable, added: Document) -> DocumentId:
    documents.write(added.tenant, Change(None, added))
    return added.id


# What is true on DynamoDB alone


@ON_AWS
def test_it_says_that_it_is_not_there(stack: Stack, tenant: TenantId) -> None:
    nowhere = DynamoDocumentTable(stack.clients.dynamodb, "nowhere")
    for call in (nowhere.check, lambda: nowhere.read(tenant, DocumentId("document"))):
        with pytest.raises(Misconfigured):
            call()


@pytest.mark.invariant("I9")
def test_an_address_that_does_not_answer_is_a_transient_failure(credentials: None, tenant: TenantId) -> None:
    """I9: no exception of the SDK leaves the adapter."""
    table = DynamoDocumentTable(aws_clients("http://127.0.0.1:9").dynamodb, "table")
    with pytest.raises(Transient):
        table.read(tenant, DocumentId("document"))


def test_it_is_known_whose_documents_there_are(documents: DocumentTable, tenant: TenantId, stranger: TenantId) -> None:
    _add(documents, document(tenant, "one"))
    _add(documents, document(tenant, "two"))
    _add(documents, document(stranger, status=Status.DELETED))
    found = documents.tenants()
    assert tenant in found
    assert stranger not in found, "a tombstone is no document"


@ON_AWS
def test_the_budget_of_the_provider_is_no_document(stack: Stack, tenant: TenantId) -> None:
    """It is in the same table, and neither the doctor nor the sweep may take it for a document."""
    table = DynamoDocumentTable(stack.clients.dynamodb, stack.provisioned.table)
    _add(table, document(tenant, sweep_at=NOW))
    DynamoProviderBudgetTable(stack.clients.dynamodb, stack.provisioned.table).write(
        f"model-{tenant}", None, ProviderBudget(failures=3)
    )
    assert not [name for name in table.tenants() if name.startswith("~")]
    assert not [name for name, _ in table.due(NOW + timedelta(days=1), 1000) if name.startswith("~")]
    assert table.newest(TenantId("~provider"), 10) == []


@ON_AWS
def test_an_item_too_large_is_refused(stack: Stack, tenant: TenantId) -> None:
    table = DynamoDocumentTable(stack.clients.dynamodb, stack.provisioned.table)
    with pytest.raises(Refused):
        table.write(tenant, Change(None, document(tenant, metadata={"text": "x" * 500_000})))


class Forgetful:
    """A client of a busy table, which reads three keys of each batch and leaves the rest unprocessed."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def batch_get_item(self, RequestItems: dict[str, Any]) -> Any:  # noqa: N803 - as boto3 calls it
        (table, asked), *_ = RequestItems.items()
        answer = self._client.batch_get_item(RequestItems={table: {**asked, "Keys": asked["Keys"][:3]}})
        left = asked["Keys"][3:]
        return {**answer, "UnprocessedKeys": {table: {**asked, "Keys": left}} if left else {}}


@ON_AWS
def test_keys_that_a_batch_left_unread_are_asked_for_again(stack: Stack, tenant: TenantId) -> None:
    table = DynamoDocumentTable(Forgetful(stack.clients.dynamodb), stack.provisioned.table)  # type: ignore[arg-type]
    ids = [_add(table, document(tenant, f"document-{number}")) for number in range(10)]
    assert set(table.read_many(tenant, ids)) == set(ids)
    more = [_add(table, document(tenant, f"another-{number}")) for number in range(30)]
    with pytest.raises(Transient):
        table.read_many(tenant, more)


@ON_AWS
@pytest.mark.parametrize(
    "spoil",
    [
        {"zz": {"S": "from another version"}},
        {"g": {"S": "not a number"}},
        {"g": {"N": "1.5"}},
        {"s": {"S": "no such status"}},
        {"o": None},
        {"o": {"M": {"k": {"S": "key"}}}},
        {"v": {"M": {"zz": {"S": "from another version"}}}},
    ],
)
def test_an_item_that_is_not_understood_says_so(stack: Stack, tenant: TenantId, spoil: dict[str, Any]) -> None:
    item = packed(document(tenant, revision=1)) | spoil
    item = {name: value for name, value in item.items() if value is not None}
    stack.clients.dynamodb.put_item(TableName=stack.provisioned.table, Item=item)
    table = DynamoDocumentTable(stack.clients.dynamodb, stack.provisioned.table)
    with pytest.raises(UnknownItem, match=f"{tenant}/document"):
        table.read(tenant, DocumentId("document"))


def test_a_one_shard_document_stays_under_one_kilobyte() -> None:
    """The size of an item is what a write is charged by. Names, versions and hashes are as long here as in real use."""
    tenant = TenantId("customer-number-seventeen")
    id_, name = "0123456789abcdef" * 2, "n" * 56 + ".pdf"
    dropped = replace(
        records.original(name), key=f"drop/{tenant}/contracts/2026/{name}", sequencer="0055AED6DCD90281E5"
    )
    there = records.published(tenant, id_, dropped)
    assert _size(packed(there)) < 1024
    again = replace(
        there, status=Status.QUEUED, generation=there.generation + 1, receipt=None, sweep_at=NOW, lane=Lane.BULK
    )
    assert _size(packed(again)) < 1024 + 200


def _size(item: Any) -> int:
    """The size of an item as DynamoDB counts it: names and text in UTF-8, two digits of a number in a byte, a little
    for nesting."""

    def of(attribute: dict[str, Any]) -> int:
        ((letter, value),) = attribute.items()
        match letter:
            case "S":
                return len(value.encode())
            case "N":
                return len(value) // 2 + 2
            case "M":
                return 3 + sum(len(name.encode()) + 1 + of(each) for name, each in value.items())
            case "L":
                return 3 + sum(1 + of(each) for each in value)
            case _:
                return 1

    return 100 + sum(len(name.encode()) + of(each) for name, each in item.items())


@pytest.mark.parametrize(
    ("form", "kind", "besides"),
    [
        (DOCUMENT, Document, {"tenant", "id", "active"}),
        (BUILD, Build, {"tenant", "document", "build_id"}),
        (ORIGINAL, type(records.original()), set()),
        (RECEIPT, Receipt, set()),
        (LEASE, Lease, set()),
    ],
)
def test_every_field_has_a_place_in_the_item(form: Any, kind: Any, besides: set[str]) -> None:
    assert form.fields == {field.name for field in fields(kind)} - besides


def test_a_build_has_no_attribute_that_an_index_is_made_of() -> None:
    build = Build(TenantId("t"), DocumentId("d"), BuildId(1, 1), 5, 5, 5, 5, frozenset({1}), {2: Lease(1)}, 5, 5, 5)
    assert not packed(build).keys() & {"t", "l", "ds", "d"}


class LosesTheFirstAnswer(BaseHTTPRequestHandler):
    """A proxy of an emulator that closes the connection after the first put was done."""

    protocol_version = "HTTP/1.1"
    behind: str
    lost: list[str]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        connection = HTTPConnection(self.behind)
        connection.request("POST", self.path, body, dict(self.headers))
        answer = connection.getresponse()
        content = answer.read()
        target = self.headers["X-Amz-Target"].partition(".")[2]
        if target not in self.lost:
            self.lost.append(target)
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() in {"content-type", "x-amz-crc32", "x-amzn-requestid"}:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.invariant("I2")
@pytest.mark.parametrize("stack", ["ministack"], indirect=True)
def test_a_write_whose_answer_was_lost_is_not_taken_for_anothers(stack: Stack, tenant: TenantId) -> None:
    """I2: a Conflict says that nothing was written, so a put that the SDK sends again must recognize its own write."""

    class Handler(LosesTheFirstAnswer):
        behind = urlsplit(stack.url).netloc
        lost: list[str] = []  # noqa: RUF012 - one list for the connections of this test

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        table = DynamoDocumentTable(
            aws_clients(f"http://127.0.0.1:{proxy.server_address[1]}").dynamodb, stack.provisioned.table
        )
        table.write(tenant, Change(None, document(tenant)))
        table.write(tenant, Change(None, document(tenant, "a")), Change(None, document(tenant, "b")))
        proxy.shutdown()
    assert {"PutItem", "TransactWriteItems"} <= set(Handler.lost)
    direct = DynamoDocumentTable(stack.clients.dynamodb, stack.provisioned.table)
    assert {id_ for _, id_ in direct.newest(tenant, 10)} == {"document", "a", "b"}
    with pytest.raises(Conflict):
        direct.write(tenant, Change(None, document(tenant)))
