"""How fast the indexes are: chunks stored a second, milliseconds a query, memory. Each index in the same run, on the
same made-up chunks: words with the frequencies of a language, 256-dimensional vectors in clusters.

    python -m benchmarks.search [--chunks 100000] [--queries 200] [--index sqlite --index opensearch]

The OpenSearch is one that is started for it with 512 MB of heap, or the one that OPENSEARCH_URL names. Ends with a line
of JSON for each index.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from opensearchpy import OpenSearch
from opensearchpy.helpers import bulk

from benchmarks.retrieval import opened, running_server
from penstock.adapters.opensearch.mapping import index_body, stored
from penstock.chunk import Chunk, Entry, IndexQuery, Space, Vector
from penstock.document import DocumentId, Pair, TenantId
from penstock.ports import SearchIndex
from penstock.search import DEPTH
from penstock.words import asked_terms

TENANT = TenantId("bench")
SPACE = Space("made-up", 256)
WORDS = 150
"""Of a chunk."""
VOCABULARY = 50_000
CLUSTERS = 200
BATCH = 500
BARE = 5000
"""Chunks that are sent by the client's own helper, for comparison."""


class Library:
    """Made-up chunks and questions, the same each time."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(7)
        weights = 1 / np.arange(1, VOCABULARY + 1)
        self._weights = weights / weights.sum()
        self._words = np.array([_word(number) for number in range(VOCABULARY)])
        self._centres = self._random.normal(size=(CLUSTERS, SPACE.dimensions))

    def entries(self, count: int) -> Iterator[list[Entry]]:
        for start in range(0, count, BATCH):
            yield [self._entry(number) for number in range(start, min(start + BATCH, count))]

    def question(self) -> IndexQuery:
        return IndexQuery(asked_terms(self._text(6)), self._vector(), DEPTH)

    def _entry(self, number: int) -> Entry:
        text = self._text(WORDS)
        chunk = Chunk(number % 1000, text, 1, 1)
        document = DocumentId(f"d{number // 1000}")
        return Entry(document, Pair(1, 1), chunk, SPACE.text_hash(text), self._vector(), "n", "bench", paged=False)

    def _text(self, words: int) -> str:
        return " ".join(self._random.choice(self._words, words, p=self._weights))

    def _vector(self) -> Vector:
        near = self._centres[self._random.integers(CLUSTERS)] + self._random.normal(size=SPACE.dimensions)
        vector: Vector = (near / np.linalg.norm(near)).astype(np.float32)
        return vector


def _word(number: int) -> str:
    letters = "bdfgklmnprstvz"
    word = ""
    while number or not word:
        number, letter = divmod(number, len(letters))
        word += letters[letter] + "aeiou"[letter % 5]
    return word


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--index", action="append", choices=["sqlite", "opensearch"])
    asked = parser.parse_args()
    results = []
    for name in asked.index or ["sqlite", "opensearch"]:
        with opened(name, SPACE) as index:
            results.append({"index": name, "chunks": asked.chunks, **measured(index, asked.chunks, asked.queries)})
        if name == "opensearch":
            results[-1]["bare_chunks_per_s"] = bare()
    columns = list(dict.fromkeys(column for each in results for column in each))
    for column in columns:
        print(f"{column:<24}" + "".join(f"{each.get(column, '')!s:>16}" for each in results))
    for each in results:
        print(json.dumps(each))


def measured(index: SearchIndex, chunks: int, queries: int) -> dict[str, float]:
    library, spent = Library(), 0.0
    for entries in library.entries(chunks):
        spent += _seconds(lambda entries=entries: index.put(TENANT, entries))  # type: ignore[misc]
    refresh = _seconds(lambda: index.refresh(TENANT))
    questions = [library.question() for _ in range(queries)]
    for question in questions[:20]:
        index.candidates(TENANT, question)
    found: dict[str, float] = {"chunks_per_s": round(chunks / spent), "refresh_s": round(refresh, 2)}
    for clients in (1, 8):
        with ThreadPoolExecutor(clients) as threads:
            begun = time.perf_counter()
            times = sorted(
                threads.map(lambda question: _seconds(lambda: index.candidates(TENANT, question)), questions)
            )
            lasted = time.perf_counter() - begun
        for share in (50, 95, 99):
            found[f"p{share}_ms_{clients}_clients"] = round(1000 * times[len(times) * share // 100 - 1], 1)
        found[f"queries_per_s_{clients}_clients"] = round(queries / lasted, 1)
    found["memory_here_mb"] = _resident("self")
    return found


def bare() -> float:
    """The same chunks by the client's own bulk helper, JSON of lists, into the same mapping: chunks a second."""
    library = Library()
    with tempfile.TemporaryDirectory() as state, running_server(Path(state) / "opensearch") as url:
        client = OpenSearch(url, timeout=120)
        client.indices.create(index="bare", body=index_body("bare-alias", SPACE, engine="lucene", shards=1))
        actions = []
        for entries in library.entries(BARE):
            for entry in entries:
                source = stored(TENANT, entry)
                source["vector"] = [float(number) for number in source["vector"]]
                actions.append({"_index": "bare", "_id": f"{TENANT}:{entry.id}", "routing": TENANT, "_source": source})
        spent = _seconds(lambda: bulk(client, actions))
        client.indices.delete(index="bare")
        client.close()
    return round(BARE / spent)


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _resident(process: str) -> int:
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) // 1024
    return 0


if __name__ == "__main__":
    main()
