"""How well search ranks: nDCG@10 of words, of vectors and of both on a test collection in BEIR's form.

    python benchmarks/retrieval.py DIR...

Each DIR has corpus.jsonl, queries.jsonl and qrels/test.tsv. Documents are indexed whole, one chunk each.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from penstock.adapters.sqlite_index import SqliteIndex
from penstock.adapters.wordllama_embedder import WordllamaEmbedder
from penstock.chunk import Candidates, Chunk, Entry, IndexQuery
from penstock.document import DocumentId, Pair, TenantId
from penstock.fuse import fuse
from penstock.ports import Embedder, SearchIndex
from penstock.search import DEPTH
from penstock.words import content_words

_AT_ONCE = 256
TENANT = TenantId("bench")
CUT = 10
Judged = Mapping[str, int]
"""Relevance by document."""


def main(folders: Sequence[str]) -> None:
    print(f"{'collection':<20}{'words':>8}{'vectors':>9}{'both':>8}   nDCG@{CUT}, SQLite, wordllama")
    for folder in map(Path, folders):
        with tempfile.TemporaryDirectory() as state:
            embedder = WordllamaEmbedder()
            index = SqliteIndex(Path(state), embedder.space)
            fill(index, embedder, folder)
            words, vectors, both = scores(index, embedder, folder)
        print(f"{folder.name:<20}{words:>8.4f}{vectors:>9.4f}{both:>8.4f}")


def fill(index: SearchIndex, embedder: Embedder, folder: Path) -> None:
    documents = list(lines(folder / "corpus.jsonl"))
    while documents:
        texts = [f"{each.get('title', '')}\n{each['text']}".strip() for each in documents[:_AT_ONCE]]
        vectors = embedder.embed(TENANT, texts)
        batch, documents = documents[: len(vectors)], documents[len(vectors) :]
        index.put(
            TENANT,
            [
                Entry(
                    document=DocumentId(each["_id"]),
                    pair=Pair(1, 1),
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


def scores(index: SearchIndex, embedder: Embedder, folder: Path) -> tuple[float, float, float]:
    """Mean nDCG of words alone, vectors alone, and both fused, over the queries that have a relevant document."""
    judged: dict[str, dict[str, int]] = defaultdict(dict)
    for line in (folder / "qrels" / "test.tsv").read_text().splitlines()[1:]:
        query, document, relevance = line.split("\t")
        judged[query][document] = int(relevance)
    results = []
    for each in lines(folder / "queries.jsonl"):
        judgement = judged.get(each["_id"], {})
        if not any(judgement.values()):
            continue
        question = each["text"]
        found = index.candidates(
            TENANT,
            IndexQuery(" ".join(content_words(question)), embedder.embed_query(TENANT, question), DEPTH),
        )
        both = [ranked.candidate.entry.document for ranked in fuse(found, embedder.weight)]
        results.append([ndcg(order, judgement) for order in (by_words(found), by_vectors(found), both)])
    words, vectors, fused = (sum(column) / len(results) for column in zip(*results, strict=True))
    return words, vectors, fused


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


def lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open() as file:
        yield from map(json.loads, file)


if __name__ == "__main__":
    main(sys.argv[1:])
