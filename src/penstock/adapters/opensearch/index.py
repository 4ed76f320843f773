"""The search index on OpenSearch: one index for each embedding space, behind an alias, with the chunks of all
tenants."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

from penstock.adapters.opensearch.arms import (
    Statistics,
    all_of,
    build_filters,
    filters_of,
    search_by_vector,
    search_by_words,
    search_for_mean_cosine,
    search_for_scores,
)
from penstock.adapters.opensearch.chunks import Chunks
from penstock.adapters.opensearch.mapping import FORMAT, entry_of, index_body, index_name, space_of, vector_of
from penstock.adapters.opensearch.server import Body, Server
from penstock.domain.chunk import Candidate, Candidates, Count, Entry, IndexQuery, Space, TextHash, Vector
from penstock.domain.errors import EmbedderChanged, Misconfigured, Refused
from penstock.domain.ids import BuildId, DocumentId, TenantId, tenant_id

TRUSTED_SECONDS = 60.0
"""How long the index behind the alias is taken to be the same, in seconds, before it is checked again."""
VECTORS_AT_ONCE = 128
"""The number of vectors that one request fetches."""
BUILDS_AT_ONCE = 500
"""The number of builds that one request counts."""
MOST_LISTED = 10_000
"""The maximum number of hits that the server gives in one answer."""

T = TypeVar("T")


class OpenSearchIndex:
    """A SearchIndex on a server. Threads may share it; it must not be carried over a fork.

    All tenants share the index. Every request for chunks goes through `Chunks`, which adds the tenant, and the scores
    of a tenant are computed from the statistics of its own chunks.
    """

    def __init__(
        self, server: Server, space: Space, *, alias: str = "penstock", engine: str = "lucene", shards: int = 1
    ) -> None:
        """
        Args:
            alias: the alias of the index that is in use. The names of indexes begin with it.
            engine: the library that searches vectors. Like `shards`, it is used only when the index is made.
            shards: the number of shards.
        """
        self._server = server
        self._space = space
        self._alias = alias
        self._name = index_name(alias, space)
        self._body = index_body(alias, space, engine=engine, shards=shards)
        self._lock = threading.Lock()
        self._checked_at = float("-inf")

    def known_vectors(self, tenant: TenantId, hashes: Sequence[TextHash]) -> Mapping[TextHash, Vector]:
        known: dict[TextHash, Vector] = {}
        chunks = self._chunks_of(tenant)
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
        self._chunks_of(tenant).put(entries)

    def refresh(self, tenant: TenantId) -> None:
        """Nothing but this and a clear refreshes: it is for callers that count afterwards, or that must not pay
        twice."""
        self._chunks_of(tenant).refresh()

    def count(self, tenant: TenantId, document: DocumentId, build_id: BuildId) -> Count:
        answer = self._chunks_of(tenant).search(
            {
                "size": 0,
                "track_total_hits": True,
                "query": _build_query(document, build_id),
                "aggs": {"vectors": {"filter": {"term": {"embedded": True}}}},
            }
        )
        return Count(answer["hits"]["total"]["value"], answer["aggregations"]["vectors"]["doc_count"])

    def without_vector(self, tenant: TenantId, document: DocumentId, build_id: BuildId, limit: int) -> Sequence[int]:
        """At most 10,000 ordinals are returned."""
        answer = self._chunks_of(tenant).search(
            {
                "size": min(limit, MOST_LISTED),
                "_source": False,
                "query": all_of(_build_query(document, build_id), {"term": {"embedded": False}}),
                "sort": ["ordinal"],
            }
        )
        return [hit["sort"][0] for hit in answer["hits"]["hits"]]

    def builds(
        self, tenant: TenantId, document: DocumentId | None = None
    ) -> Iterator[tuple[DocumentId, BuildId, Count]]:
        fields = ("document", "generation", "build")
        page: Body = {"size": BUILDS_AT_ONCE, "sources": [{each: {"terms": {"field": each}}} for each in fields]}
        vectors: Body = {"vectors": {"filter": {"term": {"embedded": True}}}}
        query = all_of() if document is None else all_of({"term": {"document": document}})
        while True:
            body = {"size": 0, "query": query, "aggs": {"builds": {"composite": page, "aggs": vectors}}}
            found = self._chunks_of(tenant).search(body)["aggregations"]["builds"]
            for each in found["buckets"]:
                key = each["key"]
                count = Count(each["doc_count"], each["vectors"]["doc_count"])
                yield DocumentId(key["document"]), BuildId(key["generation"], key["build"]), count
            if len(found["buckets"]) < BUILDS_AT_ONCE:
                return
            page = {**page, "after": found["after_key"]}

    def clear(
        self, tenant: TenantId, document: DocumentId, *, older_than: BuildId | None = None, keep: BuildId | None = None
    ) -> int:
        query = all_of({"term": {"document": document}})
        if older_than is not None:
            generation = {"term": {"generation": older_than.generation}}
            query["bool"]["should"] = [
                {"range": {"generation": {"lt": older_than.generation}}},
                all_of(generation, {"range": {"build": {"lt": older_than.build}}}),
            ]
            query["bool"]["minimum_should_match"] = 1
        if keep is not None:
            query["bool"]["must_not"] = [all_of(*build_filters(keep))]
        return self._chunks_of(tenant).clear(query)

    def candidates(self, tenant: TenantId, query: IndexQuery) -> Candidates:
        """Search by three requests: the statistics of the tenant's chunks; the best chunks of each arm; both scores of
        all these chunks. A chunk that was removed in between is left out, so both scores of a candidate are of one
        state of the index."""
        chunks = self._chunks_of(tenant)
        filters = filters_of(query)
        statistics = Statistics.from_answer(query, chunks.search(Statistics.request(query, filters)))
        arms: list[Body] = []
        if statistics.rarities:
            arms.append(search_by_words(query, statistics, filters))
        if query.vector is not None and statistics.vectors:
            arms.append(search_by_vector(query.vector, query.depth, statistics, [chunks.tenant_filter, *filters]))
            arms.append(search_for_mean_cosine(query.vector, statistics))
        answers = chunks.search_many(arms)
        ids = sorted({hit["sort"][1] for answer in answers for hit in answer["hits"]["hits"]})
        means = [answer["aggregations"]["mean"]["value"] for answer in answers if "aggregations" in answer]
        mean = means[0] - 1 if means and means[0] is not None else 0.0
        if not ids:
            return Candidates((), mean)
        scored = chunks.search(search_for_scores(query, statistics, ids), include_named_queries_score=True)
        return Candidates(tuple(_candidate(hit) for hit in scored["hits"]["hits"]), mean)

    def check(self) -> None:
        self._checked_at = float("-inf")
        self._ensure_index()

    def close(self) -> None:
        self._server.close()

    def _chunks_of(self, tenant: TenantId) -> Chunks:
        if time.monotonic() - self._checked_at > TRUSTED_SECONDS:
            self._ensure_index()
        return Chunks(self._server, self._name, tenant_id(tenant))

    def _ensure_index(self) -> None:
        """Make the index if there is none, and check that the index behind the alias is of our space and format.

        Raises:
            EmbedderChanged: it is of another space.
            Misconfigured: it is of another format.
        """
        with self._lock:
            found = self._indexes_in_use()
            if not found:
                self._make_index()
                found = self._indexes_in_use()
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
            self._checked_at = time.monotonic()

    def _indexes_in_use(self) -> Body:
        return self._server.ask("GET", f"/{self._alias}/_mapping", ignore_unavailable=True)

    def _make_index(self) -> None:
        """Make the index, unless it exists. If several processes do so at once, one makes it and the others find it."""
        try:
            self._server.ask("PUT", f"/{self._name}", self._body)
        except Refused as error:
            if "resource_already_exists" not in str(error):
                raise


def _build_query(document: DocumentId, build_id: BuildId) -> Body:
    return all_of({"term": {"document": document}}, *build_filters(build_id))


def _candidate(hit: Body) -> Candidate:
    scores = hit.get("matched_queries", {})
    cosine = scores.get("cosine")
    return Candidate(entry_of(hit["_source"]), scores.get("bm25", 0.0), None if cosine is None else cosine - 1)
