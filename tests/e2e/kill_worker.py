"""kill -9 of the worker in the middle of a long document. When it is started again it finishes the document: no chunk
is missing or doubled, and no text is embedded twice beyond the batches in flight.

    python -m tests.e2e.kill_worker [--pages 300] [--index opensearch]

The embedder is an OpenAI-compatible server that counts the texts that it gets.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from penstock.domain.chunk import IndexQuery, Space
from penstock.domain.ids import BuildId, DocumentId
from penstock.local.stack import TENANT
from penstock.ports import SearchIndex
from penstock.settings import Settings
from penstock.wiring import chosen_index
from tests.e2e.stack import RunningStack, running_stack, until
from tests.support.pdf_files import long_pdf
from tests.support.stubs.openai_server import OpenAIServer

BATCH, CONCURRENCY = 8, 2
SPACE = Space("text-embedding-3-small", 64)
SECONDS = 90
SETTINGS = {
    "PENSTOCK_SHARD_CHUNKS": "16",
    "PENSTOCK_OPENAI_BATCH": str(BATCH),
    "PENSTOCK_OPENAI_DIMENSIONS": str(SPACE.dimensions),
    "PENSTOCK_WORKER_CONCURRENCY": str(CONCURRENCY),
}


@dataclass(frozen=True)
class Counts:
    """The counts at the end."""

    seconds: float
    chunks: int
    entries: int
    ordinals: int
    vectors: int
    sent: int
    sent_once: int
    status: str

    @property
    def twice(self) -> int:
        return self.sent - self.sent_once

    @property
    def right(self) -> bool:
        whole = self.status == "indexed" and self.chunks == self.entries == self.ordinals == self.vectors
        return whole and self.twice <= BATCH * CONCURRENCY and self.seconds <= SECONDS


def kill_and_count(stack: RunningStack, server: OpenAIServer, pages: int) -> Counts:
    """Upload a document, kill the worker after the first shard, and wait for the end."""
    document = DocumentId(stack.upload("long.pdf", long_pdf(pages), document_id="long")["document_id"])
    index = _index(stack)
    until(lambda: _indexed(stack, index, document) >= 16 or None, seconds=60, what="the first shard is indexed")
    worker = int((stack.state / "worker.pid").read_text())
    os.kill(worker, signal.SIGKILL)
    killed = time.monotonic()
    assert stack.document(document)["status"] != "indexed", "it was too quick to be killed in mid-document"
    found = stack.final(document, seconds=SECONDS + 30)
    seconds = time.monotonic() - killed
    active = BuildId(found["active"]["generation"], found["active"]["build"])
    index.refresh(TENANT)
    there = index.count(TENANT, document, active)
    on_each_page = IndexQuery({"tailrac": 1}, None, there.chunks, documents=(document,))
    entries = [each.entry for each in index.candidates(TENANT, on_each_page).found]
    ordinals = {entry.chunk.ordinal for entry in entries if entry.build_id == active}
    texts = Counter(server.texts)
    return Counts(
        seconds=seconds,
        chunks=found["receipt"]["chunks"],
        entries=there.chunks,
        ordinals=len(ordinals),
        vectors=there.vectors,
        sent=texts.total(),
        sent_once=len(texts),
        status=found["status"],
    )


def _indexed(stack: RunningStack, index: SearchIndex, document: DocumentId) -> int:
    assert (found := stack.document(document))["status"] != "failed", found["error"]
    index.refresh(TENANT)
    return sum(count.chunks for _, _, count in index.builds(TENANT, document))


def _index(stack: RunningStack) -> SearchIndex:
    """The index of the stack, opened in this process too."""
    index_settings = {name: value for name, value in stack.environment.items() if name.startswith("PENSTOCK_INDEX")}
    settings = Settings.from_environment(
        **{name.removeprefix("PENSTOCK_").lower(): value for name, value in index_settings.items()}
    )
    return chosen_index(settings, SPACE)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=300)
    parser.add_argument("--index", default="sqlite", help="sqlite, or opensearch (see OPENSEARCH_URL)")
    asked = parser.parse_args()
    index_settings = {"PENSTOCK_INDEX": asked.index, "PENSTOCK_INDEX_URL": os.environ.get("OPENSEARCH_URL", "")}
    with OpenAIServer() as server, tempfile.TemporaryDirectory() as folder:
        server.delay = 0.1
        key = {"OPENAI_API_KEY": server.key, "OPENAI_BASE_URL": server.url}
        with running_stack(Path(folder) / "state", **index_settings, **SETTINGS, **key) as stack:
            counts = kill_and_count(stack, server, asked.pages)
    print(f"{counts.status} {counts.seconds:.1f} s after kill -9 of the worker")
    indexed = f"{counts.entries} in the index, {counts.ordinals} of them different, {counts.vectors} with a vector"
    print(f"chunks: {counts.chunks} on the receipt, {indexed}")
    print(f"texts embedded: {counts.sent}, {counts.sent_once} of them different, {counts.twice} twice", end=" ")
    print(f"(in flight when killed: at most {BATCH * CONCURRENCY})")
    return 0 if counts.right else 1


if __name__ == "__main__":
    sys.exit(main())
