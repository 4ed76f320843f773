"""Services: what every verb is handed. It holds the ports, filled by wiring.py, and the limits."""

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
    """The limits that the verbs work by. `settings.py` says what each is set by."""

    lease: timedelta = timedelta(seconds=120)
    """The length of a lease."""
    attempts: int = 10
    """The number of tries of a stage and shard before its document fails."""
    backoff: timedelta = timedelta(seconds=4)
    """The first retry waits between 0 and this time. Each further retry waits up to twice as long as the one before."""
    longest_backoff: timedelta = timedelta(minutes=15)
    """The maximum wait before a retry."""
    resend_after: timedelta = timedelta(minutes=10)
    """The time after which the sweep first sends a message again, which may be lost."""
    keep_tombstone: timedelta = timedelta(days=15)
    """How long the record of a deleted document stays. It is longer than SQS keeps messages."""
    keep_failed: timedelta = timedelta(days=1)
    """How long the chunks of a failed attempt stay in the index, where no reader sees them. A retry finds their vectors
    there."""
    keep_build: timedelta = timedelta(days=30)
    """How long a build item stays at most. It is longer than SQS keeps messages."""
    file_bytes: int = 500_000_000
    """The maximum size of a file, whichever door it came by."""
    chunk_chars: int = 4000
    """The maximum length of a chunk, in characters."""
    overlap_chars: int = 400
    """The length of the end of a chunk that the next chunk repeats, in characters."""
    shard_chunks: int = 128
    """The number of chunks in a shard: one request to an embedding provider takes as many."""


@dataclass(frozen=True, slots=True)
class StopRequest:
    """A request to long work: stop at the next checkpoint, and leave the rest to the next run."""

    limit: str | None = None
    """The time that no run may exceed, as text for an error message. None where the runtime ends for reasons of its
    own: then the next run may have more time."""
    way_out: str = ""
    """How to avoid that limit: a sentence without its full stop, for the same message."""


def no_stop_request() -> StopRequest | None:
    """The `stop_request` of a runtime that sets no time limit."""
    return None


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that the verbs need of the world. It is chosen in one place (wiring.py) and passed as an argument."""

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
    """Called at every checkpoint of long work. Where it returns a StopRequest, the work stops there."""
