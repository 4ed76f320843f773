"""A whole Penstock in memory: the real verbs over fakes, with a clock and a queue that the test drives."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from io import BytesIO

from penstock.documents.cancel import request_cancel
from penstock.documents.object_events import ObjectEvent, receive_object
from penstock.documents.receive import Received, Upload, receive_upload
from penstock.documents.remove import request_removal
from penstock.documents.retry import request_retry
from penstock.domain.chunk import Count, Entry
from penstock.domain.document import Document
from penstock.domain.ids import BuildId, DocumentId, TenantId, document_id
from penstock.domain.task import Lane, Message, TaskId
from penstock.operations.sweep import sweep
from penstock.pipeline.run import Done, Outcome, Redeliver, run
from penstock.ports import Change
from penstock.records.claim import Claim
from penstock.search.query import Answer, Question, search
from penstock.services import Limits, Services
from tests.support.fakes.documents import FakeDocumentTable
from tests.support.fakes.embedder import FakeEmbedder
from tests.support.fakes.index import FakeSearchIndex
from tests.support.fakes.keys import FakeKeyTable
from tests.support.fakes.objects import FakeObjectStore
from tests.support.fakes.pings import FakePingTable
from tests.support.fakes.queue import FakeTaskQueue
from tests.support.fakes.reader import FakeReader
from tests.support.fakes.uploads import FakeUploadTable

TENANT = TenantId("acme")


@dataclass
class FakeClock:
    """A clock that stands still until a test moves it."""

    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_time(self, length: timedelta) -> None:
        self.now += length


def prose(name: str, paragraphs: int) -> str:
    """Text that differs for each name and paragraph. In a `World` each paragraph becomes about one chunk."""
    return "\n\n".join(
        f"Paragraph {number} of {name} tells of {hashlib.sha256(f'{name}{number}'.encode()).hexdigest()[:24]} "
        + f"and of the water in it, {name}. " * 6
        for number in range(paragraphs)
    )


class WatchedTable(FakeDocumentTable):
    """A document table that counts its writes. `before_transaction` is called once, before the next write of several
    items."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0
        self.before_transaction: Callable[[], object] = lambda: None

    def write(self, tenant: TenantId, *changes: Change) -> None:
        if len(changes) > 1:
            happens, self.before_transaction = self.before_transaction, lambda: None
            happens()
        super().write(tenant, *changes)
        self.writes += 1


class FailingIndex(FakeSearchIndex):
    """An index that fails on demand: each put, refresh and count first raises the next exception of `fail`, if any is
    left."""

    def __init__(self) -> None:
        super().__init__()
        self.fail: list[Exception] = []

    def put(self, tenant: TenantId, entries: Sequence[Entry]) -> None:
        self._raise_next()
        super().put(tenant, entries)

    def refresh(self, tenant: TenantId) -> None:
        self._raise_next()
        super().refresh(tenant)

    def count(self, tenant: TenantId, document: DocumentId, build_id: BuildId) -> Count:
        self._raise_next()
        return super().count(tenant, document, build_id)

    def _raise_next(self) -> None:
        if self.fail:
            raise self.fail.pop(0)


@dataclass
class World:
    """All services of Penstock in memory. A shard has only two chunks, so that a few paragraphs make several shards."""

    clock: FakeClock = field(default_factory=FakeClock)
    objects: FakeObjectStore = field(default_factory=FakeObjectStore)
    documents: WatchedTable = field(default_factory=WatchedTable)
    queue: FakeTaskQueue = field(default_factory=FakeTaskQueue)
    embedder: FakeEmbedder = field(default_factory=FakeEmbedder)
    uploads: FakeUploadTable = field(default_factory=FakeUploadTable)
    index: FailingIndex = field(default_factory=FailingIndex)
    reader: FakeReader = field(default_factory=lambda: FakeReader(paged=True))
    limits: Limits = field(
        default_factory=lambda: Limits(chunk_chars=400, overlap_chars=40, shard_chunks=2, attempts=3)
    )

    def __post_init__(self) -> None:
        self.objects.clock = self.clock

    @property
    def services(self) -> Services:
        return Services(
            self.objects,
            self.documents,
            self.queue,
            self.embedder,
            self.index,
            self.reader,
            FakeKeyTable(),
            FakePingTable(),
            self.uploads,
            self.clock,
            self.limits,
        )

    def upload(self, text: str, *, id: str | None = None, tenant: TenantId = TENANT) -> Received:  # noqa: A002
        body = text.encode()
        upload = Upload(BytesIO(body), "file.txt", len(body), hashlib.sha256(body).hexdigest(), "text/plain")
        named = document_id(id) if id else None
        return receive_upload(
            self.services, tenant, upload, document=named, source="api", lane=Lane.STANDARD, metadata={}
        )

    def drop(self, key: str, text: str, sequencer: str) -> ObjectEvent:
        """Put an object into the drop folder. Returns the event that S3 would send."""
        stored = self.objects.put(TenantId(key.split("/")[1]), key, BytesIO(text.encode()))
        return ObjectEvent(key, stored.version, stored.size, stored.etag, sequencer, removed=False)

    def removal(self, key: str, sequencer: str) -> ObjectEvent:
        """The event that S3 sends for a delete marker."""
        return ObjectEvent(key, "marker", 0, "", sequencer, removed=True)

    def delete(self, received: Received, tenant: TenantId = TENANT) -> TaskId:
        return request_removal(self.services, tenant, received.document.id)

    def cancel(self, received: Received, tenant: TenantId = TENANT) -> TaskId:
        return request_cancel(self.services, tenant, received.document.id)

    def retry(self, received: Received, tenant: TenantId = TENANT) -> TaskId:
        return request_retry(self.services, tenant, received.document.id)

    def take(self) -> Message:
        """Receive the next message of the queue, which must not be empty."""
        message = self.queue.take()
        assert message is not None, "the queue is empty"
        return message

    def sweep(self) -> int:
        return sweep(self.services)

    def receive(self, event: ObjectEvent) -> Received | None:
        return receive_object(self.services, event)

    def run(self, message: Message, *, meanwhile: Callable[[], object] | None = None) -> Outcome:
        """Run one message. `meanwhile` is called after the claim and before the work."""

        @contextmanager
        def keep(services: Services, claim: Claim) -> Iterator[None]:
            if meanwhile:
                meanwhile()
            yield

        return run(self.services, message, keep if meanwhile else lambda services, claim: nullcontext())

    def drain(self, limit: int = 200) -> list[Outcome]:
        """Run messages until the queue is empty. A message that is to be redelivered is sent again after its delay, as
        SQS does."""
        outcomes = []
        for _ in range(limit):
            message = self.queue.take()
            if message is None:
                return outcomes
            outcome = self.run(message)
            outcomes.append(outcome)
            if isinstance(outcome, Redeliver):
                self.clock.pass_time(outcome.delay)
                self.queue.send(message, Lane.STANDARD)
        raise AssertionError(f"the queue does not become empty: {outcomes[-5:]}")

    def record(self, received: Received | DocumentId, tenant: TenantId = TENANT) -> Document:
        document = received if isinstance(received, str) else received.document.id
        found = self.documents.read(tenant, document)
        assert found is not None
        return found

    def search(self, text: str, *, k: int = 10, tenant: TenantId = TENANT) -> Answer:
        return search(self.services, tenant, Question(text, k))

    def builds(self, document: DocumentId, tenant: TenantId = TENANT) -> dict[BuildId, int]:
        """The number of chunks that the index holds of each build, visible to readers or not."""
        counts: dict[BuildId, int] = {}
        for entry in self.index.entries(tenant):
            if entry.document == document:
                counts[entry.build_id] = counts.get(entry.build_id, 0) + 1
        return counts

    def lose_chunk(self, tenant: TenantId = TENANT) -> None:
        """Remove a chunk from the index that it has confirmed as stored."""
        self.index.refresh(tenant)
        shelf = self.index.shelves[tenant]
        del shelf[next(iter(shelf))]

    def with_limits(self, **limits: object) -> World:
        """Change limits of this world, and return it."""
        self.limits = replace(self.limits, **limits)  # type: ignore[arg-type]
        return self


__all__ = ["TENANT", "Done", "FakeClock", "Redeliver", "World", "prose"]
