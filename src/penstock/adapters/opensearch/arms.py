"""The two arms of a search, by words and by vectors, as the server is asked for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import Self

from penstock.adapters.opensearch.mapping import K1, LOTS, UNREAD, B
from penstock.adapters.opensearch.server import Body
from penstock.domain.chunk import IndexQuery, Vector, labels

EXACT = 10_000
"""Vectors among which the nearest are found by comparing all. Among more, by the graph, which may miss some."""
SAMPLED = 2000
"""Vectors whose mean stands for that of all."""
MOST_TERMS = 1000
"""Of a question: what the server takes in one query. Whoever asks more means a document, not a question."""

_BY_SCORE = ["_score", "id"]
_EMBEDDED: Body = {"term": {"embedded": True}}

_BM25 = f"""
double length = {1 - B} + {B} * doc['length'].value / params.usual;
double score = 0;
for (int i = 0; i < params.terms.size(); i++) {{
    double times = termFreq('terms', params.terms[i]);
    if (times > 0) {{ score += params.rarities[i] * times * {K1 + 1} / (times + {K1} * length); }}
}}
return score;
"""


def filters_of(query: IndexQuery) -> list[Body]:
    """Which chunks a query may find."""
    wanted: list[Body] = []
    if query.sources:
        wanted.append({"terms": {"source": list(query.sources)}})
    if query.documents:
        wanted.append({"terms": {"document": list(query.documents)}})
    wanted += [{"term": {"metadata": label}} for label in labels(dict(query.metadata))]
    if query.since is not None:
        wanted.append({"range": {"generation": {"gte": query.since}}})
    if query.before is not None:
        wanted.append({"range": {"generation": {"lt": query.before}}})
    wanted += [{"match_phrase": {"words": phrase}} for phrase in query.phrases]
    if query.excluded:
        builds = [
            {"bool": {"filter": [{"term": {"document": of}}, *is_build(build_id.generation, build_id.build)]}}
            for of, build_id in sorted(query.excluded)
        ]
        wanted.append({"bool": {"must_not": builds}})
    return wanted


def is_build(generation: int, build: int) -> list[Body]:
    return [{"term": {"generation": generation}}, {"term": {"build": build}}]


def all_of(*filters: Body) -> Body:
    return {"bool": {"filter": list(filters)}}


@dataclass(frozen=True, slots=True)
class Facts:
    """What a tenant's chunks say about a question as a whole."""

    rarities: Mapping[str, float]
    """Of the terms that are in any chunk: idf, times how often it was asked for."""
    usual: float
    """The mean length of a chunk, in terms."""
    vectors: int
    """How many chunks have one."""
    admitted: int
    """How many of these the filters let through."""

    @classmethod
    def asked(cls, query: IndexQuery, filters: Sequence[Body]) -> Body:
        """Of all chunks of the tenant, whatever the filters: what a score is must not depend on them."""
        terms = _terms(query)
        counted: Body = {
            "usual": {"avg": {"field": "length"}},
            "vectors": {"filter": _EMBEDDED},
            "admitted": {"filter": all_of(_EMBEDDED, *filters)},
        }
        if terms:
            counted["holders"] = {"filters": {"filters": {each: {"term": {"terms": each}} for each in terms}}}
        return {"size": 0, "track_total_hits": True, "aggs": counted}

    @classmethod
    def told(cls, query: IndexQuery, answer: Body) -> Self:
        chunks, counted = answer["hits"]["total"]["value"], answer["aggregations"]
        holders = {term: each["doc_count"] for term, each in counted.get("holders", {"buckets": {}})["buckets"].items()}
        return cls(
            rarities={
                term: times * log(1 + (chunks - holders[term] + 0.5) / (holders[term] + 0.5))
                for term, times in _terms(query).items()
                if holders[term]
            },
            usual=counted["usual"]["value"] or 1.0,
            vectors=counted["vectors"]["doc_count"],
            admitted=counted["admitted"]["doc_count"],
        )


def _terms(query: IndexQuery) -> dict[str, int]:
    return dict(list(query.terms.items())[:MOST_TERMS])


def worded(query: IndexQuery, facts: Facts, filters: Sequence[Body]) -> Body:
    """The best `depth` by words: BM25 with the tenant's own rarities, and lengths compared with those of the shard."""
    holding = [{"term": {"terms": {"value": term, "boost": rarity}}} for term, rarity in facts.rarities.items()]
    matching = {"bool": {"filter": list(filters), "should": holding, "minimum_should_match": 1}}
    return {"size": query.depth, "_source": False, "sort": _BY_SCORE, "query": matching}


def nearest(vector: Vector, depth: int, facts: Facts, filters: Sequence[Body]) -> Body:
    """The best `depth` by vectors.

    Args:
        filters: with that of the tenant, which narrows the graph's search too.
    """
    if facts.admitted <= EXACT:
        return {
            "size": depth,
            "_source": False,
            "sort": _BY_SCORE,
            "query": _cosine(vector, all_of(_EMBEDDED, *filters)),
        }
    near = {"vector": vector, "k": depth, "filter": all_of(*filters)}
    return {"size": depth, "_source": False, "sort": _BY_SCORE, "query": {"knn": {"vector": near}}}


def mean_cosine(vector: Vector, facts: Facts) -> Body:
    """Of all vectors, or of a sample of many."""
    share = min(1.0, SAMPLED / max(1, facts.vectors))
    sample = all_of(_EMBEDDED, {"range": {"lot": {"lt": round(LOTS * share)}}})
    return {"size": 0, "query": _cosine(vector, sample), "aggs": {"mean": {"avg": {"script": "_score.doubleValue()"}}}}


def judged(query: IndexQuery, facts: Facts, ids: Sequence[str]) -> Body:
    """These chunks, each with its scores in both arms."""
    arms: list[Body] = []
    if facts.rarities:
        params = {
            "terms": list(facts.rarities),
            "rarities": list(facts.rarities.values()),
            "usual": facts.usual,
        }
        script = {"source": " ".join(_BM25.split()), "params": params}
        arms.append({"script_score": {"_name": "bm25", "query": {"match_all": {}}, "script": script}})
    if query.vector is not None:
        cosine = _cosine(query.vector, _EMBEDDED)
        cosine["script_score"]["_name"] = "cosine"
        arms.append(cosine)
    found = {"bool": {"filter": [{"terms": {"id": list(ids)}}], "should": arms}}
    return {"size": len(ids), "_source": {"excludes": list(UNREAD)}, "query": found}


def _cosine(vector: Vector, among: Body) -> Body:
    """Scored by 1 + cosine, since no score may be negative. (What `knn_score` makes of it is not the same in every
    version.)"""
    script = {"source": "1.0 + cosineSimilarity(params.asked, doc['vector'])", "params": {"asked": vector.tolist()}}
    return {"script_score": {"query": among, "script": script}}
