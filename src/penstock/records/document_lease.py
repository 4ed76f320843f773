"""The lease on a document: the right to extract or to delete it. It is kept in the record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from penstock.domain.build import Build
from penstock.domain.chunk import Cut
from penstock.domain.document import Document
from penstock.domain.errors import Cancelled, Fenced, Leased
from penstock.domain.ids import DocumentId, TenantId
from penstock.domain.lease import Lease
from penstock.domain.receipt import Failure, Receipt
from penstock.domain.status import PUBLISHED, Status
from penstock.domain.task import Message
from penstock.records.claim import Claim, StageDone, of_generation
from penstock.records.compare_and_set import update_record, update_record_and_build
from penstock.records.shard_lease import last_shard_lease
from penstock.services import Services


def take_extract(services: Services, message: Message) -> DocumentLease:
    """Take the lease to extract a document.

    Raises:
        Leased: another worker holds it.
        StageDone: the document is cut already.
        Cancelled: a cancel was requested and is not finished yet.
        Fenced: there is nothing to do. A newer generation, a removal or an end came first.
    """

    def decide(record: Document | None) -> Document:
        record = of_generation(record, message)
        if record.cancel:
            raise Cancelled
        if record.status in {Status.EMBEDDING, *PUBLISHED}:
            raise StageDone
        if record.status not in {Status.QUEUED, Status.EXTRACTING}:
            raise Fenced
        lease = record.lease.acquired(services.clock(), services.limits.lease)
        # A worker that vanished may only be stalled, and write on: a build of its own keeps its writes apart.
        resumes = record.checkpointed and record.status is Status.EXTRACTING
        build = record.build if resumes else lease.epoch
        return replace(
            record,
            status=Status.EXTRACTING,
            lease=lease,
            build=build,
            checkpointed=False,
            needs_cleanup=record.needs_cleanup or record.build not in {0, build},
            pages_read=0,
            pages=0,
        )

    return _taken(services, message, decide)


def take_delete(services: Services, message: Message) -> DocumentLease:
    """Take the lease to remove a document.

    Raises:
        Leased: another worker removes it, or one still writes to it and its lease has to end first.
        Fenced: the document is deleted already, or new bytes of it came since.
    """

    def decide(record: Document | None) -> Document:
        record = of_generation(record, message)
        if record.status is not Status.DELETING:
            raise Fenced
        for until in (record.quiet_until, last_shard_lease(services, record)):
            if until is not None and services.clock() < until:
                raise Leased(until=until)
        return replace(
            record, status=Status.DELETING, lease=record.lease.acquired(services.clock(), services.limits.lease)
        )

    return _taken(services, message, decide)


def _taken(services: Services, message: Message, decide: Callable[[Document | None], Document]) -> DocumentLease:
    _, record = update_record(services, TenantId(message.tenant), DocumentId(message.document), decide)
    if record is None:
        raise Fenced
    return DocumentLease(message, record, record.lease.epoch, record.lease.attempts, deferrals=record.lease.deferrals)


@dataclass(frozen=True, slots=True)
class DocumentLease(Claim):
    """The claim of an extract or of a delete."""

    @property
    def resumes(self) -> bool:
        """Whether an extract continues the build of an earlier one, which stopped at a checkpoint."""
        return self.document.build != self.epoch

    def held(self, record: Document | None) -> Document:
        """The record, if this claim still holds it.

        Raises:
            Fenced: another came first.
            Cancelled: a cancel was requested.
        """
        record = of_generation(record, self.message)
        if record.status is not self.document.status:
            raise Fenced
        if record.cancel:
            raise Cancelled
        record.lease.held_by(self.epoch)
        return record

    def check(self, services: Services) -> None:
        self.held(services.documents.read(self.tenant, self.document.id))

    def renew(self, services: Services) -> None:
        until = services.clock() + services.limits.lease
        self.change_lease(services, lambda lease: lease.renewed(self.epoch, until))

    def change_lease(self, services: Services, change: Callable[[Lease], Lease]) -> None:
        def decide(record: Document | None) -> Document:
            record = self.held(record)
            return replace(record, lease=change(record.lease))

        update_record(services, self.tenant, self.document.id, decide)

    def release_if_held(self, services: Services) -> None:
        def decide(record: Document | None) -> Document | None:
            if record is None or (record.generation, record.lease.epoch) != (self.message.generation, self.epoch):
                return record
            return record if record.lease.until is None else replace(record, lease=record.lease.released(self.epoch))

        update_record(services, self.tenant, self.document.id, decide)

    def checkpoint(self, services: Services, resume: Cut, draft: Receipt) -> None:
        """End the lease of an extract whose time is over. The build keeps where the next run continues, and what is
        known of the receipt by then. It does not count as an attempt.

        Raises:
            Fenced: the lease was lost before. Nothing was changed.
        """

        def decide(record: Document | None, build: Build | None) -> tuple[Document, Build]:
            record = self.held(record)
            if build is None:
                raise Fenced
            lease = record.lease.released(self.epoch)
            return replace(record, lease=lease, checkpointed=True), replace(build, resume=resume, draft=draft)

        update_record_and_build(services, self.tenant, self.document.id, self.build_id, decide)

    def report_progress(self, services: Services, pages_read: int, pages: int) -> None:
        """Write how many pages were read, of how many, for those who poll the task.

        Raises:
            Fenced: nobody waits for this claim any more.
        """

        def decide(record: Document | None) -> Document:
            return replace(self.held(record), pages_read=pages_read, pages=pages)

        update_record(services, self.tenant, self.document.id, decide)

    def add_paid(self, services: Services, texts: int) -> None:
        if not texts:
            return

        def decide(record: Document | None) -> Document:
            record = of_generation(record, self.message)
            if record.build_id != self.build_id or not record.in_work:
                raise Fenced
            return replace(record, lease=replace(record.lease, paid=record.lease.paid + texts))

        update_record(services, self.tenant, self.document.id, decide)

    def fail(self, services: Services, failure: Failure) -> None:
        def decide(record: Document | None) -> Document:
            if record is None or record.lease.epoch != self.epoch:
                raise Fenced
            return self.failed_record(services, record, failure)

        update_record(services, self.tenant, self.document.id, decide)
