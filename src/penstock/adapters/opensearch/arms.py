"""The two arms of a search, by words and by vectors, as requests to the server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import Self

from penstock.adapters.opensearch.mapping import K1, LOTS, UNREAD, B
from penstock.adapters.opensearch.server import Body
from penstock.domain.chunk import IndexQuery, Vector, labels
from penstock.domain.ids import BuildId

EXACT = 10_000
"""Up to this number of vectors, the nearest are found by comparing all of them. Among more they are found by the HNSW
graph, which may miss some."""
SAMPLED = 2000
"""The size of the sample whose mean stands for the mean of all vectors."""
MOST_TERMS = 1000
"""The number of a question's terms that are searched for, which is what the server takes in one query. A longer
question is a document rather than a question."""

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
    """The filters of a query: which chunks it may find."""
    filters: list[Body] = []
    if query.sources:
        filters.append({"terms": {"source": list(query.sources)}})
    if query.documents:
        filters.append({"terms": {"document": list(query.documents)}})
    filters += [{"term": {"metadata": label}} for label in labels(dict(query.metadata))]
    if query.since is not None:
        filters.append({"range": {"generation": {"gte": query.since}}})
    if query.before is not None:
        filters.append({"range": {"generation": {"lt": query.before}}})
    filters += [{"match_phrase": {"words": phrase}} for phrase in query.phrases]
    if query.excluded:
        builds = [
            {"bool": {"filter": [{"term": {"document": document}}, *build_filters(build_id)]}}
            for document, build_id in sorted(query.excluded)
        ]
        filters.append({"bool": {"must_not": builds}})
    return filters


def build_filters(build_id: BuildId) -> list[Body]:
    return [{"term": {"generation": build_id.generation}}, {"term": {"build": build_id.build}}]


def all_of(*filters: Body) -> Body:
    return {"bool": {"filter": list(filters)}}


@dataclass(frozen=True, slots=True)
class Statistics:
    """What all chunks of a tenant together say about a question."""

    rarities: Mapping[str, float]
    """For each term that is in any chunk: its idf, multiplied by the number of times that it stands in the question."""
    usual: float
    """The mean length of a chunk, in terms."""
    vectors: int
    """The number of chunks that have a vector."""
    admitted: int
    """The number of chunks that have a vector and pass the filters."""

    @classmethod
    def request(cls, query: IndexQuery, filters: Sequence[Body]) -> Body:
        """The request for the statistics. They are of all chunks of the tenant, since a score must not depend on the
        filters."""
        terms = _terms(query)
        aggregations: Body = {
            "usual": {"avg": {"field": "length"}},
            "vectors": {"filter": _EMBEDDED},
            "admitted": {"filter": all_of(_EMBEDDED, *filters)},
        }
        if terms:
            aggregations["holders"] = {"filters": {"filters": {each: {"term": {"terms": each}} for each in terms}}}
        return {"size": 0, "track_total_hits": True, "aggs": aggregations}

    @classmethod
    def from_answer(cls, query: IndexQuery, answer: Body) -> Self:
        chunks, aggregations = answer["hits"]["total"]["value"], answer["aggregations"]
        holders = {
            term: each["doc_count"] for term, each in aggregations.get("holders", {"buckets": {}})["buckets"].items()
        }
        return cls(
            rarities={
                term: times * log(1 + (chunks - holders[term] + 0.5) / (holders[term] + 0.5))
                for term, times in _terms(query).items()
                if holders[term]
            },
            usual=aggregations["usual"]["value"] or 1.0,
            vectors=aggregations["vectors"]["doc_count"],
            admitted=aggregations["admitted"]["doc_count"],
        )


def _terms(query: IndexQuery) -> dict[str, int]:
    return dict(list(query.terms.items())[:MOST_TERMS])


def search_by_words(query: IndexQuery, statistics: Statistics, filters: Sequence[Body]) -> Body:
    """The search for the best `depth` chunks by words: BM25 with the rarities of this tenant, and with text lengths
    compared with those of the shard."""
    terms = [{"term": {"terms": {"value": term, "boost": rarity}}} for term, rarity in statistics.rarities.items()]
    matching = {"bool": {"filter": list(filters), "should": terms, "minimum_should_match": 1}}
    return {"size": query.depth, "_source": False, "sort": _BY_SCORE, "query": matching}


def search_by_vector(vector: Vector, depth: int, statistics: Statistics, filters: Sequence[Body]) -> Body:
    """The search for the best `depth` chunks by vectors.

    Args:
        filters: all filters, including that of the tenant: the search of the graph obeys them too.
    """
    if statistics.admitted <= EXACT:
        return {
            "size": depth,
            "_source": False,
            "sort": _BY_SCORE,
            "query": _cosine(vector, all_of(_EMBEDDED, *filters)),
        }
    near = {"vector": vector, "k": depth, "filter": all_of(*filters)}
    return {"size": depth, "_source": False, "sort": _BY_SCORE, "query": {"knn": {"vector": near}}}


def search_for_mean_cosine(vector: Vector, statistics: Statistics) -> Body:
    """The search for the mean cosine of all vectors, or of a sample where there are many."""
    share = min(1.0, SAMPLED / max(1, statistics.vectors))
    sample = all_of(_EMBEDDED, {"range": {"lot": {"lt": round(LOTS * share)}}})
    return {"size": 0, "query": _cosine(vector, sample), "aggs": {"mean": {"avg": {"script": "_score.doubleValue()"}}}}


def search_for_scores(query: IndexQuery, statistics: Statistics, ids: Sequence[str]) -> Body:
    """The search for these chunks with the scores that each has in both arms."""
    arms: list[Body] = []
    if statistics.rarities:
        params = {
            "terms": list(statistics.rarities),
            "rarities": list(statistics.rarities.values()),
            "usual": statistics.usual,
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
    """A query whose score is 1 + cosine, since no score may be negative. (The score of `knn_score` differs between
    versions of the server.)"""
    script = {
        "source": "1.0 + cosineSimilarity(params.question, doc['vector'])",
        "params": {"question": vector.tolist()},
    }
    return {"script_score": {"query": among, "script": script}}
