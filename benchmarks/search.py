"""How fast the indexes are: chunks stored per second, milliseconds per query, and memory. All indexes are measured in
the same run, on the same generated chunks: words with the frequencies of a language, 256-dimensional vectors in
clusters.

    python -m benchmarks.search [--chunks 100000] [--queries 200] [--index sqlite --index opensearch]

The OpenSearch server is the one that OPENSEARCH_URL names, else one that is started with 512 MB of heap. The last lines
of the output are JSON, one for each index.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from opensearchpy import OpenSearch
from opensearchpy.helpers import bulk

from benchmarks.retrieval import opened, running_server
from penstock.adapters.opensearch.bulk import item_of, send
from penstock.adapters.opensearch.mapping import index_body
from penstock.adapters.opensearch.mapping import stored as as_stored
from penstock.adapters.opensearch.server import Server
from penstock.domain.chunk import Chunk, Entry, IndexQuery, Space, Vector
from penstock.domain.ids import BuildId, DocumentId, TenantId
from penstock.ports import SearchIndex
from penstock.search.query import DEPTH
from penstock.search.words import question_terms

TENANT = TenantId("bench")
SPACE = Space("made-up", 256)
WORDS = 150
"""The number of words of a chunk."""
VOCABULARY = 50_000
CLUSTERS = 200
BATCH = 500
BARE = 5000
"""The number of chunks that are also sent by the client library's own helper, for comparison."""


class Library:
    """Generated chunks and questions, the same on each run."""

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
        return IndexQuery(question_terms(self._text(6)), self._vector(), DEPTH)

    def _entry(self, number: int) -> Entry:
        text = self._text(WORDS)
        chunk = Chunk(number % 1000, text, 1, 1)
        document = DocumentId(f"d{number // 1000}")
        return Entry(document, BuildId(1, 1), chunk, SPACE.text_hash(text), self._vector(), "n", "bench", paged=False)

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
        with opened(name, SPACE) as (index, server):
            figures = measured(index, server, asked.chunks, asked.queries)
        results.append({"index": name, "chunks": asked.chunks, **figures})
        if name == "opensearch":
            results[-1] |= bulks()
    columns = list(dict.fromkeys(column for each in results for column in each))
    for column in columns:
        print(f"{column:<24}" + "".join(f"{each.get(column, '')!s:>16}" for each in results))
    for each in results:
        print(json.dumps(each))


def measured(index: SearchIndex, server: Server | None, chunks: int, queries: int) -> dict[str, float]:
    library, spent = Library(), 0.0
    for entries in library.entries(chunks):
        spent += _seconds(lambda entries=entries: index.put(TENANT, entries))  # type: ignore[misc]
    refresh = _seconds(lambda: index.refresh(TENANT))
    questions = [library.question() for _ in range(queries)]
    for question in questions[:20]:
        index.candidates(TENANT, question)
    found: dict[str, float] = {
        "chunks_per_s": round(chunks / spent),
        "refresh_s": round(refresh, 2),
    }
    processes = ["self", *([_process(server)] if server else [])]
    before = sum(map(_processor_seconds, processes))
    for question in questions:
        index.candidates(TENANT, question)
    found["processor_ms"] = round(1000 * (sum(map(_processor_seconds, processes)) - before) / queries, 1)
    for clients in (1, 8):
        with ThreadPoolExecutor(clients) as threads:
            started = time.perf_counter()
            times = sorted(
                threads.map(lambda question: _seconds(lambda: index.candidates(TENANT, question)), questions)
            )
            lasted = time.perf_counter() - started
        for share in (50, 95, 99):
            found[f"p{share}_ms_{clients}_clients"] = round(1000 * times[len(times) * share // 100 - 1], 1)
        found[f"queries_per_s_{clients}_clients"] = round(queries / lasted, 1)
    found["memory_here_mb"] = _resident("self")
    if server is not None:
        found["memory_server_mb"] = _resident(_process(server))
    return found


def bulks() -> dict[str, float]:
    """The chunks stored per second when the same chunks go into two indexes with the same mapping, in turns on one
    server: by Penstock, and by the client library's own helper, with lists in JSON. Splitting into words is done and
    timed before."""
    ours = bare = 0.0
    prepared: list[tuple[str, dict[str, object]]] = []

    def split_words(entries: Sequence[Entry]) -> None:
        prepared[:] = [(entry.id, as_stored(TENANT, entry)) for entry in entries]

    apart = 0.0
    with tempfile.TemporaryDirectory() as state, running_server(Path(state) / "opensearch") as url:
        client, server = OpenSearch(url, timeout=120), Server(url)
        names = [f"bench-{each}-{uuid4().hex[:8]}" for each in ("ours", "bare")]
        for name in names:
            body = index_body(f"{name}-alias", SPACE, engine="lucene", shards=1)
            client.indices.create(index=name, body=body)
        for entries in Library().entries(BARE):
            apart += _seconds(lambda entries=entries: split_words(entries))  # type: ignore[misc]
            ours += _seconds(lambda: send(server, (item_of(names[0], TENANT, *each) for each in prepared)))
            bare += _seconds(lambda: bulk(client, [_action(names[1], *each) for each in prepared]))
        for name in names:
            client.indices.delete(index=name)
        client.close()
        server.close()
    return {
        "words_apart_per_s": round(BARE / apart),
        f"bulk_of_{BARE}_per_s": round(BARE / ours),
        f"bare_bulk_of_{BARE}_per_s": round(BARE / bare),
    }


def _action(index: str, name: str, kept: Mapping[str, Any]) -> dict[str, object]:
    source = {**kept, "vector": kept["vector"].tolist()}
    return {"_index": index, "_id": f"{TENANT}:{name}", "routing": TENANT, "_source": source}


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _process(server: Server) -> str:
    """The id of the server's process on this machine."""
    (node,) = server.ask("GET", "/_nodes/_local/process")["nodes"].values()
    return str(node["process"]["id"])


def _processor_seconds(process: str) -> float:
    """The processor time of a process in seconds. Unlike elapsed time it does not depend on other work of the
    machine."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident(process: str) -> int:
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) // 1024
    return 0


if __name__ == "__main__":
    main()
