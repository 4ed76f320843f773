"""How well search ranks: words, vectors and both, on test collections in BEIR's form, by the real index and embedder.

    python -m benchmarks.retrieval DIR... [--index sqlite|opensearch] [--embedder wordllama|openai|onnx:DIR]

Each DIR has corpus.jsonl, queries.jsonl and qrels/test.tsv. Each document is indexed as one chunk. The OpenSearch
server is the one that OPENSEARCH_URL names, else one that is started. The last lines of the output are JSON, one for
each collection.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from penstock.adapters.aws.clients import aws_clients
from penstock.adapters.opensearch.server import Server
from penstock.domain.chunk import Candidates, Chunk, Entry, Space
from penstock.domain.ids import BuildId, DocumentId, TenantId
from penstock.local.opensearch import opensearch
from penstock.ports import Embedder, SearchIndex
from penstock.search.fuse import fuse
from penstock.search.query import Question, index_query
from penstock.settings import Settings
from penstock.wiring import chosen_embedder, chosen_index

_AT_ONCE = 256
TENANT = TenantId("bench")
CUT = 10
DEEP = 100
Judged = Mapping[str, int]
"""The relevance of each judged document."""


@dataclass(frozen=True)
class Quality:
    """The means over all queries that have a relevant document."""

    ndcg_at_10: float
    recall_at_100: float


@dataclass(frozen=True)
class Result:
    """The result for one collection."""

    collection: str
    index: str
    embedder: str
    documents: int
    queries: int
    words: Quality
    vectors: Quality
    both: Quality
    ms_per_query: float
    """The median time that the index takes for a query, in milliseconds."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR")
    parser.add_argument("--index", default="sqlite")
    parser.add_argument("--embedder", default="wordllama")
    asked = parser.parse_args()
    os.environ.setdefault("AWS_REGION", "us-east-1")  # the SDK needs a region even if no request is sent
    embedder = chosen_embedder(Settings.from_environment(embedder=asked.embedder), aws_clients())
    results = []
    for folder in asked.folders:
        with opened(asked.index, embedder.space) as (index, _):
            results.append(measured(folder, asked.index, index, embedder))
    print(f"{'':<20}{'nDCG@10':^27}{'recall@100':^27}   {asked.index}, {embedder.space}, weight {embedder.weight}")
    print(f"{'collection':<20}" + f"{'words':>9}{'vectors':>9}{'both':>9}" * 2)
    for each in results:
        arms = (each.words, each.vectors, each.both)
        figures = [arm.ndcg_at_10 for arm in arms] + [arm.recall_at_100 for arm in arms]
        print(f"{each.collection:<20}" + "".join(f"{figure:>9.4f}" for figure in figures))
    for each in results:
        print(json.dumps(asdict(each)))


@contextmanager
def opened(name: str, space: Space) -> Iterator[tuple[SearchIndex, Server | None]]:
    """An empty index, which is removed at the end, and the server that has it, if there is one."""
    with tempfile.TemporaryDirectory() as state:
        if name != "opensearch":
            yield chosen_index(Settings.from_environment(index=name, index_path=Path(state) / "index"), space), None
            return
        with running_server(Path(state) / "opensearch") as url:
            alias, server = f"bench-{uuid4().hex[:8]}", Server(url)
            yield chosen_index(Settings.from_environment(index=name, index_url=url, index_name=alias), space), server
            server.ask("DELETE", f"/{alias}-*")


@contextmanager
def running_server(state: Path) -> Iterator[str]:
    if named := os.environ.get("OPENSEARCH_URL"):
        yield named
        return
    try:
        with opensearch(state) as server:
            yield server.url
    finally:
        shutil.rmtree(state.resolve(), ignore_errors=True)


def measured(folder: Path, name: str, index: SearchIndex, embedder: Embedder) -> Result:
    documents = fill(index, embedder, folder)
    judged: dict[str, dict[str, int]] = defaultdict(dict)
    for line in (folder / "qrels" / "test.tsv").read_text().splitlines()[1:]:
        query, document, relevance = line.split("\t")
        judged[query][document] = int(relevance)
    qualities: list[list[Quality]] = []
    seconds = []
    for each in lines(folder / "queries.jsonl"):
        judgement = judged.get(each["_id"], {})
        if not any(judgement.values()):
            continue
        query = index_query(Question(each["text"]), embedder.embed_query(TENANT, each["text"]))
        started = time.perf_counter()
        found = index.candidates(TENANT, query)
        seconds.append(time.perf_counter() - started)
        both = [ranked.candidate.entry.document for ranked in fuse(found, embedder.weight)]
        orders = (by_words(found), by_vectors(found), both)
        qualities.append([Quality(ndcg(order, judgement), recall(order, judgement)) for order in orders])
    words, vectors, fused = (_mean(column) for column in zip(*qualities, strict=True))
    return Result(
        folder.name,
        name,
        str(embedder.space),
        documents,
        len(qualities),
        words,
        vectors,
        fused,
        round(1000 * sorted(seconds)[len(seconds) // 2], 1),
    )


def _mean(column: Sequence[Quality]) -> Quality:
    return Quality(
        round(sum(each.ndcg_at_10 for each in column) / len(column), 4),
        round(sum(each.recall_at_100 for each in column) / len(column), 4),
    )


def fill(index: SearchIndex, embedder: Embedder, folder: Path) -> int:
    """Index the documents. Returns their number."""
    documents = list(lines(folder / "corpus.jsonl"))
    count = len(documents)
    while documents:
        texts = [f"{each.get('title', '')}\n{each['text']}".strip() for each in documents[:_AT_ONCE]]
        vectors = embedder.embed(TENANT, texts)
        batch, documents = documents[: len(vectors)], documents[len(vectors) :]
        index.put(
            TENANT,
            [
                Entry(
                    document=DocumentId(each["_id"]),
                    build_id=BuildId(1, 1),
                    chunk=Chunk(0, text, 1, 1),
                    hash=embedder.space.text_hash(text),
                    vector=vector,
                    name=each["_id"],
                    source="bench",
                    paged=False,
                )
                for each, text, vector in zip(batch, texts, vectors, strict=False)
            ],
        )
    index.refresh(TENANT)
    return count


def by_words(found: Candidates) -> list[DocumentId]:
    matching = [each for each in found.found if each.bm25 > 0]
    return [each.entry.document for each in sorted(matching, key=lambda each: (-each.bm25, each.entry.id))]


def by_vectors(found: Candidates) -> list[DocumentId]:
    near = [(each.cosine, each.entry) for each in found.found if each.cosine is not None]
    return [entry.document for _, entry in sorted(near, key=lambda each: (-each[0], each[1].id))]


def ndcg(order: Sequence[str], judgement: Judged) -> float:
    def gain(relevances: Sequence[int]) -> float:
        return sum((2**relevance - 1) / math.log2(rank + 2) for rank, relevance in enumerate(relevances[:CUT]))

    return gain([judgement.get(document, 0) for document in order]) / gain(sorted(judgement.values(), reverse=True))


def recall(order: Sequence[str], judgement: Judged) -> float:
    relevant = {document for document, relevance in judgement.items() if relevance > 0}
    return len(relevant & set(order[:DEEP])) / len(relevant)


def lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open() as file:
        yield from map(json.loads, file)


if __name__ == "__main__":
    main()
