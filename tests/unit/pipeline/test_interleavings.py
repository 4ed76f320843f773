"""Random interleavings of workers, duplicates, replacements, removals, cancels, retries, dead letters, lost workers and
passing time never break I1 to I8. Workers advance one call of a port at a time, so that every race between two calls
can happen."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from penstock.documents.cancel import request_cancel
from penstock.documents.remove import request_removal
from penstock.documents.retry import request_retry
from penstock.domain.document import Document
from penstock.domain.errors import BeingDeleted, Deleted, NotFound, NothingToCancel, NothingToRetry, Transient
from penstock.domain.ids import BuildId, DocumentId, derived_id
from penstock.domain.status import FINAL, PUBLISHED, Status
from penstock.domain.task import Lane, Message
from penstock.operations.dead_letter_handling import settle
from penstock.operations.doctor.examine import examine
from penstock.pipeline.run import Done
from penstock.search.query import Question, search
from tests.support.stepped_worker import SteppedWorker
from tests.support.world import TENANT, World, prose

pytestmark = pytest.mark.invariant("I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8")

UPLOADS = ("one",)
DROPS = ("drop/acme/wiki/a.txt",)
DROPPED = tuple(derived_id(TENANT, key) for key in DROPS)
TEXTS = {f"{word}{size}": prose(f"{word}{size}", size) for word in ("alder", "birch") for size in (1, 5)}


class Interleavings(RuleBasedStateMachine):
    """Several workers of one queue, some of them stalled or lost, and users who do not wait for them."""

    @initialize()
    def begin(self) -> None:
        self.world = World().with_limits(attempts=1000)
        self.workers: list[SteppedWorker] = []
        self.events: list[object] = []
        self.sequence = 0
        self.accepted: dict[DocumentId, str | None] = {}
        """The text that each document must have in the end. None means that the document must be gone."""
        self.highest: dict[DocumentId, int] = {}
        self.cancelled: dict[DocumentId, BuildId | None] = {}
        """The build that readers saw when the document was cancelled, if the cancel was the last request for it."""

    # What users do

    @rule(id=st.sampled_from(UPLOADS), name=st.sampled_from(sorted(TEXTS)))
    def upload(self, id: str, name: str) -> None:  # noqa: A002
        try:
            received = self.world.upload(TEXTS[name], id=id)
        except BeingDeleted:
            return
        self.accepted[received.document.id] = name
        self.cancelled.pop(received.document.id, None)

    @rule(key=st.sampled_from(DROPS), name=st.sampled_from(sorted(TEXTS)))
    def drop(self, key: str, name: str) -> None:
        self.sequence += 1
        self.events.append(self.world.drop(key, TEXTS[name], f"{self.sequence:06x}"))
        self.accepted[derived_id(TENANT, key)] = name

    @rule(key=st.sampled_from(DROPS))
    def take_out(self, key: str) -> None:
        if key not in self.world.objects.objects:
            return
        self.sequence += 1
        self.events.append(self.world.removal(key, f"{self.sequence:06x}"))
        self.accepted[derived_id(TENANT, key)] = None

    @rule(id=st.sampled_from(UPLOADS))
    def delete(self, id: str) -> None:  # noqa: A002
        try:
            request_removal(self.world.services, TENANT, DocumentId(id))
        except NotFound:
            return
        self.accepted[DocumentId(id)] = None
        self.cancelled.pop(DocumentId(id), None)

    @rule(id=st.sampled_from(UPLOADS))
    def cancel(self, id: str) -> None:  # noqa: A002
        try:
            request_cancel(self.world.services, TENANT, DocumentId(id))
        except (NotFound, Deleted, BeingDeleted, NothingToCancel):
            return
        active = self.world.record(DocumentId(id)).active
        self.cancelled[DocumentId(id)] = active.build_id if active else None

    @rule(id=st.sampled_from((*UPLOADS, *map(str, DROPPED))))
    def retry(self, id: str) -> None:  # noqa: A002
        try:
            request_retry(self.world.services, TENANT, DocumentId(id))
        except (NotFound, Deleted, BeingDeleted, NothingToRetry):
            return
        self.cancelled.pop(DocumentId(id), None)

    # What queues do: out of order, more than once

    @precondition(lambda self: self.events)
    @rule(data=st.data(), twice=st.booleans())
    def deliver_event(self, data: st.DataObject, twice: bool) -> None:
        event = self.events[data.draw(st.integers(0, len(self.events) - 1))]
        try:
            self.world.receive(event)
        except Transient:
            return
        if not twice:
            self.events.remove(event)

    @precondition(lambda self: self.world.queue.sent and len(self.workers) < 4)
    @rule(data=st.data(), twice=st.booleans())
    def start(self, data: st.DataObject, twice: bool) -> None:
        at = data.draw(st.integers(0, len(self.world.queue.sent) - 1))
        message, _, _ = self.world.queue.sent[at]
        if not twice:
            del self.world.queue.sent[at]
        self.workers.append(SteppedWorker(self.world.services, message))

    @precondition(lambda self: self.world.queue.sent)
    @rule(data=st.data(), twice=st.booleans())
    def give_up(self, data: st.DataObject, twice: bool) -> None:
        """A message is received too often, and its dead letter is settled."""
        at = data.draw(st.integers(0, len(self.world.queue.sent) - 1))
        message, _, _ = self.world.queue.sent[at]
        if not twice:
            del self.world.queue.sent[at]
        settle(self.world.services, message, "it was received too often")

    @precondition(lambda self: self.world.queue.sent)
    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        """Lose a message. SQS does not, but a sender that dies between record and message has the same effect (I6)."""
        del self.world.queue.sent[data.draw(st.integers(0, len(self.world.queue.sent) - 1))]

    # What workers do

    @precondition(lambda self: self.workers)
    @rule(data=st.data(), steps=st.integers(1, 30))
    def step(self, data: st.DataObject, steps: int) -> None:
        worker = self.workers[data.draw(st.integers(0, len(self.workers) - 1))]
        for _ in range(steps):
            if not worker.ended:
                worker.step()
        if worker.ended:
            self._retire(worker)

    @precondition(lambda self: self.workers)
    @rule()
    def step_all(self) -> None:
        """Step all workers in turn, one call each, until the first is done."""
        while not any(worker.ended for worker in self.workers):
            for worker in self.workers:
                worker.step()
        for worker in [worker for worker in self.workers if worker.ended]:
            self._retire(worker)

    @precondition(lambda self: self.workers)
    @rule()
    def finish_one(self) -> None:
        worker = self.workers[0]
        worker.finish()
        self._retire(worker)

    @precondition(lambda self: self.workers)
    @rule(data=st.data())
    def kill(self, data: st.DataObject) -> None:
        worker = self.workers[data.draw(st.integers(0, len(self.workers) - 1))]
        worker.kill()
        self.workers.remove(worker)
        self._put_back(worker.message)

    @rule(port=st.sampled_from(["embedder", "index"]))
    def trouble(self, port: str) -> None:
        """The next call of this worker that can fail does."""
        failures = self.world.embedder.fail if port == "embedder" else self.world.index.fail
        failures.append(Transient(why="set to fail"))

    @rule(seconds=st.sampled_from([1, 60, 130, 700]))
    def pass_time(self, seconds: int) -> None:
        """A worker that is not stepped meanwhile has stalled: its lease ends without its knowledge."""
        self.world.clock.pass_time(timedelta(seconds=seconds))

    @rule()
    def sweep(self) -> None:
        self.world.sweep()

    # What is always true

    @invariant()
    def readers_see_exactly_what_one_receipt_says(self) -> None:
        """I2, I3, I8: at every step of the workers."""
        for record in self._records():
            hits = search(self.world.services, TENANT, Question(record.id, 100, documents=(record.id,))).hits
            if record.active is None or record.status in {Status.DELETING, Status.DELETED}:
                assert not hits
                continue
            assert len(hits) == record.active.receipt.chunks == record.active.receipt.vectors
            assert {(hit.generation, hit.build) for hit in hits} == {
                (record.active.build_id.generation, record.active.build_id.build)
            }
            (name,) = {name for name in TEXTS for hit in hits if f" of {name} " in hit.text}
            assert all(name in hit.text for hit in hits)
            assert {hit.ordinal for hit in hits} == set(range(len(hits)))

    @invariant()
    def an_old_error_is_never_shown_on_a_new_attempt(self) -> None:
        for record in self._records():
            assert record.failure is None or record.status is not Status.QUEUED
            assert record.failure is None or record.failure.at is None or record.failure.at >= record.accepted

    @invariant()
    def what_is_cancelled_is_in_work_and_will_be_looked_at(self) -> None:
        for record in self._records():
            assert not record.cancel or (record.in_work and record.sweep_at is not None)

    @invariant()
    def generations_never_go_back(self) -> None:
        for record in self._records():
            assert record.generation >= self.highest.get(record.id, 0)
            self.highest[record.id] = record.generation
            assert (record.sweep_at is not None) or (record.status in FINAL)
            if record.active is not None:
                assert record.active.build_id <= record.build_id

    @invariant()
    def messages_carry_ids_only(self) -> None:
        """I1."""
        for message, _, _ in self.world.queue.sent:
            assert all(len(str(value)) < 40 for value in message.arguments().values())

    # How it ends

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        for worker in list(self.workers):
            worker.finish()
            self._retire(worker)
        self.world.embedder.fail.clear()
        self.world.index.fail.clear()
        for turn in range(8):
            for record in self._records():
                if turn < 4 and record.status is Status.FAILED:
                    request_retry(self.world.services, TENANT, record.id)
            for event in sorted(self.events, key=lambda event: event.sequencer):  # type: ignore[attr-defined]
                try:
                    self.world.receive(event)
                    self.events.remove(event)
                except Transient:
                    pass
            self.world.drain()
            self.world.clock.pass_time(timedelta(hours=2))
            self.world.sweep()
            self.world.drain()
        self.readers_see_exactly_what_one_receipt_says()
        for record in self._records():
            self._ended_as_accepted(record)
        self.world.clock.pass_time(timedelta(days=2))
        self.world.sweep()
        assert list(examine(self.world.services, TENANT)) == []

    def _ended_as_accepted(self, record: Document) -> None:
        """Accepted means kept: a final state, the last bytes and no others, and nothing left behind."""
        wanted = self.accepted[record.id]
        if record.id in self.cancelled:
            assert record.status is Status.CANCELLED
            assert record.visible == self.cancelled[record.id]
            assert set(self.world.builds(record.id)) == ({record.visible} if record.visible else set())
            assert not [key for key in self.world.objects.objects if key.startswith(("work/", "receipts/"))]
            return
        assert record.status in ({Status.DELETED} if wanted is None else PUBLISHED), record
        assert record.lease.until is None
        assert set(self.world.builds(record.id)) == ({record.visible} if record.visible else set())
        if wanted is not None:
            hits = search(self.world.services, TENANT, Question(wanted, 100, documents=(record.id,))).hits
            assert all(wanted in hit.text for hit in hits)
            assert hits

    def _records(self) -> list[Document]:
        found = (self.world.documents.read(TENANT, document) for document in self.accepted)
        return [record for record in found if record is not None]

    def _retire(self, worker: SteppedWorker) -> None:
        if worker in self.workers:
            self.workers.remove(worker)
        if worker.error:
            raise worker.error
        if not isinstance(worker.outcome, Done):
            self._put_back(worker.message)

    def _put_back(self, message: Message) -> None:
        self.world.queue.sent.append((message, Lane.STANDARD, timedelta(0)))


TestInterleavings = Interleavings.TestCase
TestInterleavings.settings = settings(
    max_examples=200, stateful_step_count=60, deadline=None, suppress_health_check=list(HealthCheck)
)
