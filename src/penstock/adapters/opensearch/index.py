"""The search index on OpenSearch: one index per embedding space, behind an alias, with the chunks of all tenants."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

from penstock.adapters.opensearch.arms import (
    Facts,
    all_of,
    filters_of,
    is_build,
    judged,
    mean_cosine,
    nearest,
    worded,
)
from penstock.adapters.opensearch.chunks import Chunks
from penstock.adapters.opensearch.mapping import FORMAT, entry_of, index_body, index_name, space_of, vector_of
from penstock.adapters.opensearch.server import Body, Server
from penstock.domain.chunk import Candidate, Candidates, Count, Entry, IndexQuery, Space, TextHash, Vector
from penstock.domain.document import BuildId
from penstock.domain.errors import EmbedderChanged, Misconfigured, Refused
from penstock.domain.ids import DocumentId, TenantId, tenant_id

TRUSTED_SECONDS = 60.0
"""How long the alias is believed to lead where it led."""
VECTORS_AT_ONCE = 128
"""Fetched by one request."""
PAIRS_AT_ONCE = 500
MOST_LISTED = 10_000
"""What the server gives in one answer."""

T = TypeVar("T")


class OpenSearchIndex:
    """A SearchIndex on a server. May be shared by threads, but not across a fork.

    The index is shared by all tenants. What can be asked of it is asked through `Chunks`, which adds the tenant, and
    the scores of a tenant are made of the statistics of its own chunks.
    """

    def __init__(
        self, server: Server, space: Space, *, alias: str = "penstock", engine: str = "lucene", shards: int = 1
    ) -> None:
        """
        Args:
            alias: leads to the index that is in use, and begins its name.
            engine, shards: of an index that is made; one that is there keeps what it has.
        """
        self._server = server
        self._space = space
        self._alias = alias
        self._name = index_name(alias, space)
        self._body = index_body(alias, space, engine=engine, shards=shards)
        self._lock = threading.Lock()
        self._checked = float("-inf")

    def known_vectors(self, tenant: TenantId, hashes: Sequence[TextHash]) -> Mapping[TextHash, Vector]:
        known: dict[TextHash, Vector] = {}
        chunks = self._of(tenant)
        for start in range(0, len(hashes), VECTORS_AT_ONCE):
            some = hashes[start : start + VECTORS_AT_ONCE]
            answer = chunks.search(
                {
                    "size": len(some),
                    "_source": ["hash", "vector"],
                    "query": all_of({"terms": {"hash": list(some)}}, {"term": {"embedded": True}}),
                    "collapse": {"field": "hash"},
                }
            )
            for hit in answer["hits"]["hits"]:
                known[TextHash(hit["_source"]["hash"])] = vector_of(hit["_source"])
        return known

    def put(self, tenant: TenantId, entries: Sequence[Entry]) -> None:
        self._of(tenant).put(entries)

    def refresh(self, tenant: TenantId) -> None:
        """Asked for by whoever will count or must not pay twice; nothing else here is refreshed but by a clear."""
        self._of(tenant).refresh()

    def count(self, tenant: TenantId, document: DocumentId, build_id: BuildId) -> Count:
        answer = self._of(tenant).search(
            {
                "size": 0,
                "track_total_hits": True,
                "query": _build_id(document, build_id),
                "aggs": {"vectors": {"filter": {"term": {"embedded": True}}}},
            }
        )
        return Count(answer["hits"]["total"]["value"], answer["aggregations"]["vectors"]["doc_count"])

    def without_vector(self, tenant: TenantId, document: DocumentId, build_id: BuildId, limit: int) -> Sequence[int]:
        """At most 10,000."""
        answer = self._of(tenant).search(
            {
                "size": min(limit, MOST_LISTED),
                "_source": False,
                "query": all_of(_build_id(document, build_id), {"term": {"embedded": False}}),
                "sort": ["ordinal"],
            }
        )
        return [hit["sort"][0] for hit in answer["hits"]["hits"]]

    def builds(
        self, tenant: TenantId, document: DocumentId | None = None
    ) -> Iterator[tuple[DocumentId, BuildId, Count]]:
        by = ("document", "generation", "build")
        page: Body = {"size": PAIRS_AT_ONCE, "sources": [{each: {"terms": {"field": each}}} for each in by]}
        counted: Body = {"vectors": {"filter": {"term": {"embedded": True}}}}
        among = all_of() if document is None else all_of({"term": {"document": document}})
        while True:
            asked = {"size": 0, "query": among, "aggs": {"pairs": {"composite": page, "aggs": counted}}}
            told = self._of(tenant).search(asked)["aggregations"]["pairs"]
            for each in told["buckets"]:
                key = each["key"]
                count = Count(each["doc_count"], each["vectors"]["doc_count"])
                yield DocumentId(key["document"]), BuildId(key["generation"], key["build"]), count
            if len(told["buckets"]) < PAIRS_AT_ONCE:
                return
            page = {**page, "after": told["after_key"]}

    def clear(
        self, tenant: TenantId, document: DocumentId, *, older_than: BuildId | None = None, but: BuildId | None = None
    ) -> int:
        query = all_of({"term": {"document": document}})
        if older_than is not None:
            generation = {"term": {"generation": older_than.generation}}
            query["bool"]["should"] = [
                {"range": {"generation": {"lt": older_than.generation}}},
                all_of(generation, {"range": {"build": {"lt": older_than.build}}}),
            ]
            query["bool"]["minimum_should_match"] = 1
        if but is not None:
            query["bool"]["must_not"] = [all_of(*is_build(but.generation, but.build))]
        return self._of(tenant).clear(query)

    def candidates(self, tenant: TenantId, query: IndexQuery) -> Candidates:
        """Three requests: what the tenant's chunks say about the question; the best of each arm; both scores of the
        union. What was removed in between is left out, so each candidate's scores are of one state."""
        chunks = self._of(tenant)
        filters = filters_of(query)
        facts = Facts.told(query, chunks.search(Facts.asked(query, filters)))
        asked: list[Body] = []
        if facts.rarities:
            asked.append(worded(query, facts, filters))
        if query.vector is not None and facts.vectors:
            asked.append(nearest(query.vector, query.depth, facts, [chunks.mine, *filters]))
            asked.append(mean_cosine(query.vector, facts))
        answers = chunks.search_many(asked)
        ids = sorted({hit["sort"][1] for answer in answers for hit in answer["hits"]["hits"]})
        means = [answer["aggregations"]["mean"]["value"] for answer in answers if "aggregations" in answer]
        mean = means[0] - 1 if means and means[0] is not None else 0.0
        if not ids:
            return Candidates((), mean)
        union = chunks.search(judged(query, facts, ids), include_named_queries_score=True)
        return Candidates(tuple(_candidate(hit) for hit in union["hits"]["hits"]), mean)

    def check(self) -> None:
        self._checked = float("-inf")
        self._settle()

    def close(self) -> None:
        self._server.close()

    def _of(self, tenant: TenantId) -> Chunks:
        if time.monotonic() - self._checked > TRUSTED_SECONDS:
            self._settle()
        return Chunks(self._server, self._name, tenant_id(tenant))

    def _settle(self) -> None:
        """The index is there, is of our space, and is the one in use.

        Raises:
            EmbedderChanged: the one in use is of another space.
            Misconfigured: it is of another format.
        """
        with self._lock:
            found = self._in_use()
            if not found:
                self._make()
                found = self._in_use()
            for name, each in found.items():
                meta = each["mappings"].get("_meta", {})
                if meta.get("format") != FORMAT:
                    raise Misconfigured(
                        why=f"The index {name} behind the alias {self._alias} has format {meta.get('format')}, and "
                        f"this version of Penstock reads {FORMAT}. Set PENSTOCK_INDEX_NAME to another name and add the "
                        "documents again."
                    )
                if space_of(meta) != self._space:
                    raise EmbedderChanged(stored=space_of(meta), configured=self._space)
            self._checked = time.monotonic()

    def _in_use(self) -> Body:
        return self._server.ask("GET", f"/{self._alias}/_mapping", ignore_unavailable=True)

    def _make(self) -> None:
        """Made by one of those who try at once; the others find it."""
        try:
            self._server.ask("PUT", f"/{self._name}", self._body)
        except Refused as error:
            if "resource_already_exists" not in str(error):
                raise


def _build_id(document: DocumentId, build_id: BuildId) -> Body:
    return all_of({"term": {"document": document}}, *is_build(build_id.generation, build_id.build))


def _candidate(hit: Body) -> Candidate:
    scores = hit.get("matched_queries", {})
    cosine = scores.get("cosine")
    return Candidate(entry_of(hit["_source"]), scores.get("bm25", 0.0), None if cosine is None else cosine - 1)
