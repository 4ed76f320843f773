"""The OpenSearch index on a real server: the requests that it sends, and what is left when the server is killed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import numpy as np
import orjson
import pytest

from penstock.adapters.opensearch import bulk
from penstock.adapters.opensearch.arms import EXACT
from penstock.adapters.opensearch.index import OpenSearchIndex
from penstock.adapters.opensearch.server import Body, Server
from penstock.domain.chunk import Chunk, Count, Entry, IndexQuery, Space, Vector
from penstock.domain.errors import Misconfigured, Refused, Transient
from penstock.domain.ids import BuildId, DocumentId, TenantId
from penstock.operations.doctor.case import Kind
from penstock.operations.doctor.examine import examine
from penstock.services import Limits
from tests.support.fakes.embedder import FakeEmbedder
from tests.support.generated_prose import Prose
from tests.support.opensearch_server import RealOpenSearch
from tests.support.resolved_template import Template
from tests.support.world import TENANT, World, prose

ACME, GLOBEX = TenantId("acme"), TenantId("globex")
DOC, PAIR = DocumentId("doc"), BuildId(1, 1)
SPACE = Space("letters", 16)


class RecordingServer(Server):
    """A server that records the requests."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.asked: list[tuple[str, str, Any, dict[str, object]]] = []

    def ask(self, method: str, path: str, body: object = None, **params: object) -> Body:
        self.asked.append((method, path, body, params))
        return super().ask(method, path, body, **params)

    def ask_many(self, path: str, lines: bytes, **params: object) -> list[Body]:
        self.asked.append(("POST", path, [orjson.loads(line) for line in lines.splitlines()], params))
        return super().ask_many(path, lines, **params)


@pytest.fixture
def alias() -> str:
    return f"test-{uuid4().hex[:12]}"


@pytest.fixture
def server(opensearch_url: str, alias: str) -> Iterator[RecordingServer]:
    server = RecordingServer(opensearch_url)
    yield server
    server.ask("DELETE", f"/{alias}-*")
    server.close()


@pytest.fixture
def index(server: RecordingServer, alias: str) -> OpenSearchIndex:
    return OpenSearchIndex(server, SPACE, alias=alias)


def unit(seed: int, dimensions: int = SPACE.dimensions) -> Vector:
    vector = np.random.default_rng(seed).normal(size=dimensions).astype(np.float32)
    found: Vector = vector / np.linalg.norm(vector)
    return found


def entry(ordinal: int, text: str = "water gauge", document: str = DOC, vector: Vector | None = None) -> Entry:
    text = f"{text} {ordinal}"
    vector = unit(ordinal) if vector is None else vector
    chunk = Chunk(ordinal, text, 1, 1)
    return Entry(DocumentId(document), PAIR, chunk, SPACE.text_hash(text), vector, "n", "s", paged=False)


# Tenants


@pytest.mark.invariant("I10")
def test_no_request_can_reach_chunks_without_its_tenant(index: OpenSearchIndex, server: RecordingServer) -> None:
    """I10: whichever call makes it, each request goes to the tenant's shard with the tenant's filter. Requests without
    a tenant reach no chunks."""
    index.put(ACME, [entry(n) for n in range(3)])
    index.refresh(ACME)
    assert index.count(ACME, DOC, PAIR) == Count(3, 3)
    index.without_vector(ACME, DOC, PAIR, 5)
    index.known_vectors(ACME, [SPACE.text_hash("x")])
    index.candidates(ACME, IndexQuery({"water": 1}, unit(1), 5, documents=(DOC,)))
    assert list(index.builds(ACME, DOC)) == [(DOC, PAIR, Count(3, 3))]
    index.clear(ACME, DOC, older_than=BuildId(2, 1), keep=BuildId(1, 9))
    index.check()
    seen = set()
    for method, path, body, params in server.asked:
        call = path.rsplit("/", 1)[1]
        seen.add(call)
        if call in {"_search", "_count", "_delete_by_query"}:
            assert params["routing"] == ACME
            assert {"term": {"tenant": ACME}} in body["query"]["bool"]["filter"]
        elif call == "_msearch":
            for header, search in zip(body[::2], body[1::2], strict=True):
                assert header["routing"] == ACME
                assert {"term": {"tenant": ACME}} in search["query"]["bool"]["filter"]
        elif call == "_bulk":
            for action, source in zip(body[::2], body[1::2], strict=True):
                assert action["index"]["routing"] == source["tenant"] == ACME
                assert action["index"]["_id"].startswith(f"{ACME}:")
        else:
            assert (method, call) in {("GET", "_mapping"), ("POST", "_refresh"), ("PUT", path.strip("/"))}
    assert {"_search", "_msearch", "_bulk", "_count", "_delete_by_query"} <= seen
    needed = {f"es:ESHttp{method.capitalize()}" for method, *_ in server.asked}
    policy = Template().of("AWS::IAM::Policy")["IndexPolicy"]["PolicyDocument"]["Statement"]
    assert needed == {action for each in policy for action in each["Action"]}, (
        "what the template allows is what is asked"
    )


@pytest.mark.invariant("I3", "I10")
def test_the_same_document_of_two_tenants_is_two(index: OpenSearchIndex) -> None:
    """I3, I10: they have the same document id."""
    for tenant in (ACME, GLOBEX):
        index.put(tenant, [entry(0)])
    index.refresh(ACME)
    assert index.clear(ACME, DOC) == 1
    assert index.count(GLOBEX, DOC, PAIR) == Count(1, 1)


@pytest.mark.invariant("I10")
def test_the_nearest_of_many_are_found_by_the_graph_within_the_tenant(
    index: OpenSearchIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I10: also when not all vectors are compared. The graph may miss a few."""
    monkeypatch.setattr("penstock.adapters.opensearch.arms.EXACT", 100)
    index.put(GLOBEX, [entry(n, "of another", vector=unit(n + 5000)) for n in range(500)])
    index.put(ACME, [entry(n) for n in range(500)])
    index.refresh(ACME)
    asked = unit(9999)
    found = index.candidates(ACME, IndexQuery({}, asked, 50)).found
    nearest = set(sorted(range(500), key=lambda n: -float(unit(n) @ asked))[:50])
    assert len(found) == 50
    assert all(each.entry.chunk.text.startswith("water") for each in found)
    assert len(nearest & {each.entry.chunk.ordinal for each in found}) >= 45
    filtered = index.candidates(ACME, IndexQuery({}, asked, 50, documents=(DocumentId("other"),)))
    assert filtered.found == ()
    assert EXACT > 100, "the rest of the tests compares all"


# What the index is


def test_of_those_who_make_the_index_at_once_all_find_one(opensearch_url: str, server: Server, alias: str) -> None:
    failures: list[BaseException] = []

    def open_it() -> None:
        try:
            OpenSearchIndex(Server(opensearch_url), SPACE, alias=alias).check()
        except BaseException as error:  # noqa: BLE001 - shown below
            failures.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(server.ask("GET", f"/{alias}/_mapping")) == 1


def test_an_index_of_another_format_is_refused_with_what_to_do(server: Server, alias: str) -> None:
    server.ask("PUT", f"/{alias}-old", {"aliases": {alias: {}}, "mappings": {"_meta": {"format": 99}}})
    with pytest.raises(Misconfigured, match="PENSTOCK_INDEX_NAME"):
        OpenSearchIndex(server, SPACE, alias=alias).check()


@pytest.mark.invariant("I5")
def test_a_chunk_that_the_mapping_refuses_is_named_and_the_others_are_stored(index: OpenSearchIndex) -> None:
    """I5: for example, if the embedder made a wrong vector."""
    with pytest.raises(Refused, match="doc:1:1:1"):
        index.put(ACME, [entry(0), entry(1, vector=unit(1, 8)), entry(2)])
    index.refresh(ACME)
    assert index.count(ACME, DOC, PAIR) == Count(2, 2)


def test_what_is_cleared_in_parts_is_cleared_whole(index: OpenSearchIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.adapters.opensearch.chunks.CLEARED_AT_ONCE", 100)
    index.put(ACME, [entry(n) for n in range(350)])
    assert index.clear(ACME, DOC) == 350
    assert index.count(ACME, DOC, PAIR) == Count(0, 0)


# The ledger


def test_a_long_document_with_ten_changed_paragraphs_pays_for_few_chunks(server: RecordingServer, alias: str) -> None:
    """Known vectors are found by hash within the tenant: at most 40 of a thousand chunks are embedded again."""
    embedder = FakeEmbedder()
    world = World(
        embedder=embedder,
        index=OpenSearchIndex(server, embedder.space, alias=alias),  # type: ignore[arg-type]
        limits=Limits(chunk_chars=1000, overlap_chars=100, shard_chunks=128),
    )
    paragraphs = Prose(5).text(820_000).split("\n\n")
    world.upload("\n\n".join(paragraphs), id="long")
    world.drain()
    receipt = world.record(DocumentId("long")).receipt
    assert receipt is not None
    assert receipt.chunks >= 1000
    assert receipt.vectors == receipt.chunks
    for place in range(10):
        paragraphs[(place + 1) * len(paragraphs) // 11] = f"Changed paragraph {place}. " * 12
    world.upload("\n\n".join(paragraphs), id="long")
    world.drain()
    again = world.record(DocumentId("long")).receipt
    assert again is not None
    assert again.vectors == again.chunks
    assert 10 <= again.embedded <= 40


# The doctor


def test_what_the_index_lost_is_found_and_indexed_again(server: RecordingServer, alias: str) -> None:
    embedder = FakeEmbedder()
    index = OpenSearchIndex(server, embedder.space, alias=alias)
    world = World(embedder=embedder, index=index)  # type: ignore[arg-type]
    received = world.upload(prose("lost", 9), id="one")
    world.drain()
    record = world.record(received)
    assert record.receipt is not None
    lost = {"query": {"bool": {"filter": [{"term": {"document": "one"}}, {"term": {"ordinal": 0}}]}}}
    server.ask("POST", f"/{alias}/_delete_by_query", lost, refresh=True)
    paid = len(embedder.embedded)
    (finding,) = examine(world.services, TENANT)
    assert (finding.kind, finding.document) == (Kind.COUNTS_DIFFER, "one")
    finding.repair()
    world.drain()
    world.clock.pass_time(world.limits.lease)
    world.sweep()
    again = world.record(received)
    assert again.visible is not None
    assert index.count(TENANT, record.id, again.visible).chunks == record.receipt.chunks
    assert len(embedder.embedded) == paid + 1
    assert list(examine(world.services, TENANT)) == []


# A server that is killed


@pytest.mark.invariant("I3")
def test_a_server_killed_in_mid_bulk_loses_and_doubles_nothing(
    opensearch_server: RealOpenSearch, alias: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I3: what was acknowledged is there after the restart, and what is sent again overwrites itself."""
    monkeypatch.setattr(bulk, "MOST_BYTES", 50_000)
    entries = [entry(n, "water " * 100) for n in range(1500)]
    server = _after(opensearch_server.url, 5, opensearch_server.kill)
    try:
        with pytest.raises(Transient, match="did not answer"):
            OpenSearchIndex(server, SPACE, alias=alias).put(ACME, entries)
    finally:
        opensearch_server.start()
    acknowledged = server.acknowledged
    assert 0 < acknowledged < 1500
    server = Server(opensearch_server.url)
    index = OpenSearchIndex(server, SPACE, alias=alias)
    index.refresh(ACME)
    found = index.count(ACME, DOC, PAIR).chunks
    assert acknowledged <= found < 1500
    index.put(ACME, entries)
    index.refresh(ACME)
    assert index.count(ACME, DOC, PAIR) == Count(1500, 1500)
    ordinals = {c.entry.chunk.ordinal for c in index.candidates(ACME, IndexQuery({"water": 1}, None, 1500)).found}
    assert ordinals == set(range(1500))
    server.ask("DELETE", f"/{alias}-*")


class _after(Server):  # noqa: N801 - reads as a verb
    """Calls a function when this number of bulk requests was answered, while the next one is on its way."""

    def __init__(self, url: str, requests: int, happens: Callable[[], object]) -> None:
        super().__init__(url)
        self._left, self._happens = requests, happens
        self.acknowledged = 0

    def ask_many(self, path: str, lines: bytes, **params: object) -> list[Body]:
        self._left -= 1
        if self._left == 0:
            self._happens()
        answers = super().ask_many(path, lines, **params)
        self.acknowledged += sum(answer["index"]["status"] < 300 for answer in answers)
        return answers
