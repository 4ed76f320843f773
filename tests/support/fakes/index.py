"""A search index in memory. It is as strict as a real one may be: entries that were not refreshed are neither counted
nor found."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from penstock.domain.chunk import Candidate, Candidates, Count, Entry, IndexQuery, Space, TextHash, Vector
from penstock.domain.errors import EmbedderChanged
from penstock.domain.ids import BuildId, DocumentId, TenantId
from penstock.search.words import holds_phrase, terms_of

Shelf = dict[str, Entry]
"""Entries by id."""


class FakeSearchIndex:
    """`spaces` has the Space of each tenant's entries. To open the same index again, pass the `shelves` and `spaces` of
    this one to another."""

    def __init__(
        self,
        space: Space = Space("fake", 32),  # noqa: B008 - frozen
        shelves: dict[TenantId, Shelf] | None = None,
        spaces: dict[TenantId, Space] | None = None,
    ) -> None:
        self.space = space
        self.shelves = {} if shelves is None else shelves
        self.spaces = {} if spaces is None else spaces
        self._waiting: dict[TenantId, Shelf] = {}
        self._lock = threading.RLock()

    def entries(self, tenant: TenantId) -> list[Entry]:
        """All entries of the tenant, refreshed or not."""
        with self._lock:
            return list({**self.shelves.get(tenant, {}), **self._waiting.get(tenant, {})}.values())

    def known_vectors(self, tenant: TenantId, hashes: Sequence[TextHash]) -> Mapping[TextHash, Vector]:
        return {
            entry.hash: entry.vector
            for entry in self._shelf(tenant).values()
            if entry.vector is not None and entry.hash in set(hashes)
        }

    def put(self, tenant: TenantId, entries: Sequence[Entry]) -> None:
        self._shelf(tenant)
        with self._lock:
            self.spaces.setdefault(tenant, self.space)
            self._waiting.setdefault(tenant, {}).update({entry.id: entry for entry in entries})

    def refresh(self, tenant: TenantId) -> None:
        with self._lock:
            self.shelves.setdefault(tenant, {}).update(self._waiting.pop(tenant, {}))

    def count(self, tenant: TenantId, document: DocumentId, build_id: BuildId) -> Count:
        found = self._of(tenant, document, build_id)
        return Count(len(found), sum(entry.vector is not None for entry in found))

    def without_vector(self, tenant: TenantId, document: DocumentId, build_id: BuildId, limit: int) -> Sequence[int]:
        found = self._of(tenant, document, build_id)
        return sorted(entry.chunk.ordinal for entry in found if entry.vector is None)[:limit]

    def builds(
        self, tenant: TenantId, document: DocumentId | None = None
    ) -> Iterator[tuple[DocumentId, BuildId, Count]]:
        held = [entry for entry in self._shelf(tenant).values() if document in {None, entry.document}]
        for each, build_id in sorted({(entry.document, entry.build_id) for entry in held}):
            yield each, build_id, self.count(tenant, each, build_id)

    def clear(
        self, tenant: TenantId, document: DocumentId, *, older_than: BuildId | None = None, keep: BuildId | None = None
    ) -> int:
        gone = {
            entry.id
            for entry in self.entries(tenant)
            if entry.document == document
            and (older_than is None or entry.build_id < older_than)
            and entry.build_id != keep
        }
        with self._lock:
            for shelf in (self.shelves.get(tenant, {}), self._waiting.get(tenant, {})):
                for each in gone & shelf.keys():
                    del shelf[each]
        return len(gone)

    def candidates(self, tenant: TenantId, query: IndexQuery) -> Candidates:
        everything = list(self._shelf(tenant).values())
        bm25 = _bm25(query.terms, everything)
        cosine: dict[str, float] = {}
        mean = 0.0
        vectors = [entry.vector for entry in everything if entry.vector is not None]
        if query.vector is not None and vectors:
            cosine = {each.id: _dot(each.vector, query.vector) for each in everything if each.vector is not None}
            mean = sum(_dot(vector, query.vector) for vector in vectors) / len(vectors)
        admitted = {
            entry.id: entry
            for entry in everything
            if (not query.sources or entry.source in query.sources)
            and (not query.documents or entry.document in query.documents)
            and set(query.metadata) <= set(entry.metadata.items())
            and (query.since is None or entry.build_id.generation >= query.since)
            and (query.before is None or entry.build_id.generation < query.before)
            and all(holds_phrase(entry.chunk.text, phrase) for phrase in query.phrases)
            and (entry.document, entry.build_id) not in query.excluded
        }
        best = {each for arm in (bm25, cosine) for each in _best(arm, admitted, query.depth)}
        found = tuple(Candidate(admitted[each], bm25.get(each, 0.0), cosine.get(each)) for each in best)
        return Candidates(found, mean)

    def check(self) -> None:
        for tenant in self.spaces:
            self._shelf(tenant)

    def _shelf(self, tenant: TenantId) -> Shelf:
        with self._lock:
            stored = self.spaces.get(tenant, self.space)
            if stored != self.space:
                raise EmbedderChanged(stored=stored, configured=self.space)
            return dict(self.shelves.get(tenant, {}))

    def _of(self, tenant: TenantId, document: DocumentId, build_id: BuildId) -> list[Entry]:
        return [
            entry for entry in self._shelf(tenant).values() if (entry.document, entry.build_id) == (document, build_id)
        ]


def _best(scores: Mapping[str, float], admitted: Mapping[str, Entry], depth: int) -> list[str]:
    return sorted(scores.keys() & admitted.keys(), key=lambda each: (-scores[each], each))[:depth]


def _dot(one: Vector, other: Vector) -> float:
    return float((one.astype(np.float64) * other).sum())


def _bm25(terms: Mapping[str, int], entries: Sequence[Entry]) -> dict[str, float]:
    """The BM25 scores by entry id, of the entries in which a term matched."""
    texts = {entry.id: terms_of(entry.chunk.text) for entry in entries}
    mean = sum(map(len, texts.values())) / max(1, len(texts))
    scores: dict[str, float] = {}
    for term in Counter(terms).elements():
        holders = [each for each, words in texts.items() if term in words]
        rarity = math.log(1 + (len(texts) - len(holders) + 0.5) / (len(holders) + 0.5))
        for each in holders:
            times = texts[each].count(term)
            scores[each] = scores.get(each, 0.0) + rarity * times * 2.2 / (
                times + 1.2 * (0.25 + 0.75 * len(texts[each]) / mean)
            )
    return scores
