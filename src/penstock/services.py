"""What the verbs are handed: the ports, filled by wiring.py, and the numbers that they go by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from penstock.ports import (
    Clock,
    DocumentTable,
    Embedder,
    KeyTable,
    ObjectStore,
    PingTable,
    Reader,
    SearchIndex,
    TaskQueue,
    UploadTable,
)


@dataclass(frozen=True, slots=True)
class Limits:
    """The numbers that the verbs go by. Times are durations; sizes count characters unless they say otherwise."""

    lease: timedelta = timedelta(seconds=120)
    attempts: int = 10
    backoff: timedelta = timedelta(seconds=4)
    """The first retry waits between 0 and this; each further one up to twice as long."""
    longest_backoff: timedelta = timedelta(minutes=15)
    resend_after: timedelta = timedelta(minutes=10)
    """The sweep's first wait for a message that may be lost."""
    keep_tombstone: timedelta = timedelta(days=15)
    keep_failed: timedelta = timedelta(days=1)
    """How long the chunks of a failed attempt stay, unseen, for a retry to find their vectors."""
    keep_build: timedelta = timedelta(days=30)
    """Longer than any message about it may live."""
    file_bytes: int = 500_000_000
    """Bytes, whichever door it came by."""
    chunk_chars: int = 4000
    overlap_chars: int = 400
    shard_chunks: int = 128
    """Chunks per shard: what one request to a provider takes."""


@dataclass(frozen=True, slots=True)
class StopRequest:
    """Long work shall stop at its next checkpoint, and leave the rest to the next run."""

    limit: str | None = None
    """What no run may take longer than; None where the runtime ends for reasons of its own, and the next may well
    finish what this one began."""
    way_out: str = ""
    """From that limit: a sentence without its end."""


def no_stop_request() -> StopRequest | None:
    """Of a runtime that sets no time."""
    return None


@dataclass(frozen=True, slots=True)
class Services:
    """All that the verbs need, chosen in one place (wiring.py) and handed down as an argument."""

    objects: ObjectStore
    documents: DocumentTable
    queue: TaskQueue
    embedder: Embedder
    index: SearchIndex
    reader: Reader
    keys: KeyTable
    pings: PingTable
    uploads: UploadTable
    clock: Clock
    limits: Limits = field(default_factory=Limits)
    stop_request: Callable[[], StopRequest | None] = no_stop_request
    """Asked at every checkpoint of long work."""
