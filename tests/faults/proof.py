"""The promises that must hold after each case, whatever was done. They are checked in the real table, index, bucket and
queues, and in the provider's list of texts."""

from __future__ import annotations

import sqlite3
from collections import Counter
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache

from penstock.domain.document import Document
from penstock.domain.ids import DocumentId
from penstock.domain.status import FINAL, PUBLISHED, Status
from penstock.operations.doctor.examine import examine
from penstock.records.shard_lease import last_shard_lease
from penstock.services import Limits
from penstock.wiring import now
from tests.faults.stack import BATCH, TENANT, Stack, until
from tests.support.world import World

CLEARED = PUBLISHED | {Status.CANCELLED}
"""The statuses after which only what readers see is left. The chunks of a failed attempt, which were paid for, stay a
day."""
Row = tuple[int, int, int, str]
_LIMITS = Limits(chunk_chars=400, overlap_chars=40, shard_chunks=4)
_SETTLED = timedelta(hours=2)
"""A time after which the doctor no longer takes anything for fresh."""


@cache
def reference(text: str) -> tuple[Row, ...]:
    """The chunks of this text if nothing goes wrong, by the same verbs over services in memory."""
    world = World(limits=_LIMITS)
    world.reader.paged = False
    received = world.upload(text)
    world.drain()
    assert world.record(received).status is Status.INDEXED
    chunks = sorted((entry.chunk for entry in world.index.entries(TENANT)), key=lambda chunk: chunk.ordinal)
    return tuple((chunk.ordinal, chunk.first_page, chunk.last_page, chunk.text) for chunk in chunks)


@dataclass(frozen=True)
class Proven:
    """The outcome of a document."""

    status: Status
    code: str
    chunks: int
    paid: int
    twice: int
    epoch: int

    def __str__(self) -> str:
        reason = f" ({self.code})" if self.code else ""
        return f"{self.status}{reason}, {self.chunks} chunks, {self.paid} texts paid for, {self.twice} of them twice"


def ended(stack: Stack, document: DocumentId) -> Document:
    """The record, once it is final and nothing is left to clean up."""

    def look() -> Document | None:
        found = stack.services.documents.read(TENANT, document)
        if found is None or found.status not in FINAL or (found.needs_cleanup and found.status in CLEARED):
            return None
        return found

    return until(f"{document} is final", look)


def prove(
    stack: Stack,
    document: DocumentId,
    name: str,
    texts: tuple[str, ...],
    ends: frozenset[Status],
    *,
    batches: int,
    paid_from: int,
) -> Proven:
    """Check all promises for a document.

    Args:
        name: a word that all its texts have, and no other text.
        texts: the texts that were uploaded, the newest last.
        ends: the statuses that are allowed.
        batches: the number of batches that may have been paid for twice.
        paid_from: the provider's texts before this one are not counted.

    Raises:
        AssertionError: a promise is broken; the message says which.
    """
    record = ended(stack, document)
    assert record.status in ends, f"I5: it ended {record.status} ({record.failure}), not {sorted(ends)}"
    if record.status is Status.FAILED:
        assert record.failure, "a failed document says why"
    _no_lease(stack, record)
    rows = _rows(stack, document)
    builds = {(generation, build) for generation, build, *_ in rows}
    shown = record.active.build_id if record.active and record.status is not Status.DELETED else None
    if record.status in CLEARED | {Status.DELETED}:
        assert builds <= ({(shown.generation, shown.build)} if shown else set()), (
            f"stale chunks: {builds}, shown {shown}"
        )
    chunks = 0
    if shown is not None and record.active is not None:
        seen = tuple(row[2:] for row in rows if row[:2] == (shown.generation, shown.build))
        wanted = [reference(text) for text in texts]
        held = tuple(sorted((ordinal, first, last, text) for ordinal, first, last, text, _ in seen))
        assert held in (wanted[-1:] if record.status in PUBLISHED else wanted), (
            "I3: its chunks are not those of the reference run"
        )
        receipt = record.active.receipt
        vectors = sum(vector for *_, vector in seen)
        assert receipt.chunks == receipt.vectors == len(seen) == vectors, (
            f"the receipt is not true: {receipt}, {len(seen)} in the index"
        )
        chunks = len(seen)
    paid = Counter(text for text in stack.provider.texts[paid_from:] if name in text)
    twice = paid.total() - len(paid)
    assert twice <= batches * BATCH, f"{twice} texts paid for twice; in flight were at most {batches * BATCH}"
    code = record.failure.code if record.failure else ""
    return Proven(record.status, code, chunks, paid.total(), twice, record.lease.epoch)


def _no_lease(stack: Stack, record: Document) -> None:
    """Wait until no lease lives: a copy of a message may just be dropped by its claim."""

    def none() -> bool:
        found = stack.services.documents.read(TENANT, record.id)
        assert found is not None
        ends = (found.lease.until, last_shard_lease(stack.services, found))
        return all(each is None or each <= now() for each in ends)

    until(f"no lease of {record.id} lives", none)


def _rows(stack: Stack, document: DocumentId) -> list[tuple[int, int, int, int, int, str, bool]]:
    path = stack.folder / "index" / f"{TENANT}.sqlite"
    if not path.exists():
        return []
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=60)
    try:
        return db.execute(
            "SELECT generation, build, ordinal, first_page, last_page, text, vector IS NOT NULL FROM entries "
            "WHERE document = ?",
            (document,),
        ).fetchall()
    finally:
        db.close()


def prove_rest(stack: Stack) -> str:
    """Assert that, after all documents have ended, the queues are empty and the doctor finds nothing. Its clock is
    ahead, so that no finding is too fresh."""
    until("the queues are empty", lambda: not stack.waiting())
    late = replace(stack.services, clock=lambda: now() + _SETTLED)
    found = [f"{each.kind} {each.document}: {each.what}" for each in examine(late, TENANT)]
    assert not found, f"the doctor finds {found}"
    return "queues empty, doctor clean"
