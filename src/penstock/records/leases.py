"""Claim: take, renew, check and give back the right to work on one stage of one shard (I2, I7)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from penstock.domain.build import Build
from penstock.domain.chunk import Cut
from penstock.domain.document import BuildId, Document
from penstock.domain.errors import Cancelled, Fenced, Leased, PenstockError
from penstock.domain.ids import DocumentId, TenantId
from penstock.domain.lease import Lease
from penstock.domain.receipt import Failure, Receipt
from penstock.domain.status import FINAL, PUBLISHED, Status
from penstock.domain.task import Message, Stage
from penstock.records.compare_and_set import update_build, update_record, update_record_and_build
from penstock.services import Services


class StageDone(PenstockError):
    """This stage of this shard was done before; what follows it may still be owed."""

    code = "stage_done"


class Checkpointed(PenstockError):
    """The time of this run is over; the next goes on where it stopped."""

    code = "handed_on"


@dataclass(frozen=True, slots=True)
class Claim:
    """A lease that was taken: what its holder believes in, and names in each of its writes."""

    message: Message
    document: Document
    epoch: int
    attempts: int
    """Tries that failed before this one."""
    held_before: bool = False
    """Whether somebody held this shard before, and may have left in the index what was paid for."""
    deferrals: int = 0
    """How often it had to wait since."""

    @property
    def tenant(self) -> TenantId:
        return self.document.tenant

    @property
    def build_id(self) -> BuildId:
        return self.document.build_id

    @property
    def resumes(self) -> bool:
        """Whether an extract continues the build of one before it, which handed on."""
        return self.document.build != self.epoch


def take_extract(services: Services, message: Message) -> Claim:
    """
    Raises:
        Leased: another works on it.
        StageDone: it is cut already.
        Cancelled: somebody asked for that, and it is not done yet.
        Fenced: there is nothing to do: a newer generation, a delete or an end came first.
    """

    def decide(record: Document | None) -> Document:
        record = _of_generation(record, message)
        if record.cancel:
            raise Cancelled
        if record.status in {Status.EMBEDDING, *PUBLISHED}:
            raise StageDone
        if record.status not in {Status.QUEUED, Status.EXTRACTING}:
            raise Fenced
        lease = record.lease.acquired(services.clock(), services.limits.lease)
        # Whoever stops without a word may be stalled and write on: a build of its own keeps its writes apart.
        resumes = record.checkpointed and record.status is Status.EXTRACTING
        build = record.build if resumes else lease.epoch
        stray = record.needs_cleanup or record.build not in {0, build}
        return record.moved(
            Status.EXTRACTING, lease=lease, build=build, checkpointed=False, needs_cleanup=stray, pages_read=0, pages=0
        )

    return _claimed(services, message, decide)


def take_delete(services: Services, message: Message) -> Claim:
    """
    Raises:
        Leased: another removes it, or a worker still writes to it: its lease has to end first.
        Fenced: it is deleted already, or lives again.
    """

    def decide(record: Document | None) -> Document:
        record = _of_generation(record, message)
        if record.status is not Status.DELETING:
            raise Fenced
        for until in (record.quiet_until, last_shard_lease(services, record)):
            if until is not None and services.clock() < until:
                raise Leased(until=until)
        return record.moved(Status.DELETING, lease=record.lease.acquired(services.clock(), services.limits.lease))

    return _claimed(services, message, decide)


def take_embed(services: Services, message: Message) -> Claim:
    """
    Raises:
        Leased: another works on this shard.
        StageDone: the shard is done.
        Fenced: its build is no longer the one being made.
    """
    shard, again = _shard(message), False

    def decide(record: Document | None, build: Build | None) -> tuple[Document, Build]:
        nonlocal again
        if (
            record is not None
            and build is not None
            and record.build_id == build.build_id
            and record.status in PUBLISHED
        ):
            raise StageDone
        record, build = _of_build(record, build, message)
        if shard in build.done:
            raise StageDone
        again = shard in build.leases
        lease = build.lease_of(shard)
        return record, build.with_lease(shard, lease.acquired(services.clock(), services.limits.lease))

    document, build = update_record_and_build(services, *_place(message), decide)
    lease = build.leases[shard]
    return Claim(message, document, lease.epoch, lease.attempts, again, lease.deferrals)


def renew(services: Services, claim: Claim) -> None:
    """Lengthen the lease.

    Raises:
        Fenced: it is no longer this claim's.
        Transient: it could not be said; try again before the lease ends.
    """
    if claim.message.stage is Stage.EMBED:
        check(services, claim)  # a shard that nobody waits for is not held on to
    until = services.clock() + services.limits.lease
    _rework(services, claim, lambda lease: lease.renewed(claim.epoch, until))


def check(services: Services, claim: Claim) -> None:
    """A checkpoint: whether to go on.

    Raises:
        Fenced: the work is no longer wanted, or no longer this claim's.
    """
    if claim.message.stage is Stage.EMBED:
        _, build = _of_build(*services.documents.read_both(*_place(claim.message)), claim.message)
        build.lease_of(_shard(claim.message)).held_by(claim.epoch)
    else:
        held(services.documents.read(claim.tenant, claim.document.id), claim)


def report_progress(services: Services, claim: Claim, pages_read: int, pages: int) -> None:
    """How far the reading is, for whoever waits.

    Raises:
        Fenced: nobody waits for this claim any more.
    """

    def decide(record: Document | None) -> Document:
        return replace(held(record, claim), pages_read=pages_read, pages=pages)

    update_record(services, claim.tenant, claim.document.id, decide)


def held(record: Document | None, claim: Claim) -> Document:
    """The record, if it still is what the holder of this claim on it believes.

    Raises:
        Fenced: it is not.
    """
    record = _of_generation(record, claim.message)
    if record.status is not claim.document.status:
        raise Fenced
    if record.cancel:
        raise Cancelled
    record.lease.held_by(claim.epoch)
    return record


def release_failed(services: Services, claim: Claim, failure: Failure, rest: timedelta) -> None:
    """End the lease after a try that failed; the next not before `rest` is over.

    Raises:
        Fenced: the lease was lost, or ended, before.
    """
    until = services.clock() + rest
    _rework(services, claim, lambda lease: lease.failed(claim.epoch, until))
    note(services, claim, failure)


def defer(services: Services, claim: Claim, rest: timedelta, why: Failure | None = None) -> None:
    """End the lease of what cannot go on before `rest` is over. No try has failed.

    Raises:
        Fenced: the lease was lost, or ended, before.
    """
    until = services.clock() + rest
    _rework(services, claim, lambda lease: lease.deferred(claim.epoch, until))
    if why is not None:
        note(services, claim, why)


def add_paid(services: Services, claim: Claim, texts: int) -> None:
    """What a try paid for before it failed, or was put down, belongs to the receipt too.

    Raises:
        Fenced: there is no such attempt any more.
    """
    if not texts:
        return
    if claim.message.stage is Stage.EMBED:
        update_build(
            services,
            claim.tenant,
            claim.document.id,
            claim.build_id,
            lambda build: replace(build, embedded=build.embedded + texts),
        )
        return

    def decide(record: Document | None) -> Document:
        record = _of_generation(record, claim.message)
        if record.build_id != claim.build_id or not record.in_work:
            raise Fenced
        return replace(record, lease=replace(record.lease, paid=record.lease.paid + texts))

    update_record(services, claim.tenant, claim.document.id, decide)


def checkpoint(services: Services, claim: Claim, resume: Cut, draft: Receipt) -> None:
    """End the lease of an extract whose time ran out, and leave word for the next where to go on. No try has failed.

    Raises:
        Fenced: the lease was lost before; nothing was changed.
    """

    def decide(record: Document | None, build: Build | None) -> tuple[Document, Build]:
        record = held(record, claim)
        if build is None:
            raise Fenced
        lease = record.lease.released(claim.epoch)
        return replace(record, lease=lease, checkpointed=True), replace(build, resume=resume, draft=draft)

    update_record_and_build(services, claim.tenant, claim.document.id, claim.build_id, decide)


def release(services: Services, claim: Claim) -> None:
    """End the lease on purpose, with the work undone. No try has failed.

    Raises:
        Fenced: the lease was lost, or ended, before.
    """
    _rework(services, claim, lambda lease: lease.released(claim.epoch))


def finish_shard(services: Services, claim: Claim, *, chunks: int, embedded: int) -> Build:
    """The build with this claim's shard done.

    It reads the build again, though the claim once wrote it: where shards are worked on side by side, others have
    nearly always written since (53 of 59 times), and a write that is refused costs as much as five reads.

    Raises:
        Fenced: the lease was lost; whoever has it finishes.
    """
    shard = _shard(claim.message)

    def decide(build: Build) -> Build:
        return build.finished(shard, claim.epoch, chunks=chunks, embedded=embedded)

    return update_build(services, claim.tenant, claim.document.id, claim.build_id, decide)


def fail(services: Services, claim: Claim, failure: Failure) -> None:
    """The attempt is over. What readers saw before stays what they see; the vectors that were paid for stay in the
    index for a day, so that a retry does not pay for them again.

    Raises:
        Fenced: the claim was lost; nothing was changed.
    """
    due = services.clock() + services.limits.keep_failed

    def failed(record: Document | None) -> Document:
        record = _of_generation(record, claim.message)
        if record.build_id != claim.build_id or not record.in_work:
            raise Fenced
        if record.cancel:
            raise Cancelled
        return record.moved(
            Status.FAILED, failure=failure, lease=replace(record.lease, until=None), needs_cleanup=True, sweep_at=due
        )

    def extract_failed(record: Document | None) -> Document:
        if record is None or record.lease.epoch != claim.epoch:
            raise Fenced
        return failed(record)

    def shard_failed(record: Document | None, build: Build | None) -> tuple[Document, Build]:
        shard = _shard(claim.message)
        if build is None or build.lease_of(shard).epoch != claim.epoch:
            raise Fenced
        # The build is written too, and not only read: one who took the shard meanwhile keeps this from coming true.
        return failed(record), build.with_lease(shard, replace(build.lease_of(shard), until=None))

    if claim.message.stage is Stage.EXTRACT:
        update_record(services, claim.tenant, claim.document.id, extract_failed)
    else:
        update_record_and_build(services, claim.tenant, claim.document.id, claim.build_id, shard_failed)


def release_if_held(services: Services, claim: Claim) -> None:
    """End the lease, if it still is this claim's, whatever else has become of the document. No try has failed."""
    if claim.message.stage is not Stage.EMBED:

        def decide(record: Document | None) -> Document | None:
            if record is None or (record.generation, record.lease.epoch) != (claim.message.generation, claim.epoch):
                return record
            return record if record.lease.until is None else replace(record, lease=record.lease.released(claim.epoch))

        update_record(services, claim.tenant, claim.document.id, decide)
        return
    shard = _shard(claim.message)

    def decide_build(build: Build) -> Build:
        lease = build.lease_of(shard)
        if lease.epoch != claim.epoch or lease.until is None:
            return build
        return build.with_lease(shard, lease.released(claim.epoch))

    with suppress(Fenced):  # there is no such build any more
        update_build(services, claim.tenant, claim.document.id, claim.build_id, decide_build)


def note(services: Services, claim: Claim, failure: Failure) -> None:
    """Keep the last cause with its attempt, for whoever asks why it takes so long."""

    def decide(record: Document | None) -> Document:
        record = _of_generation(record, claim.message)
        if record.status in FINAL or record.build_id != claim.build_id or failure.same(record.failure):
            return record
        return replace(record, failure=failure)

    update_record(services, claim.tenant, claim.document.id, decide)


def last_shard_lease(services: Services, record: Document) -> datetime | None:
    """When the last lease of the newest build's shards ends; None where there is none."""
    build = services.documents.read_build(record.tenant, record.id, record.build_id)
    return max((lease.until for lease in build.leases.values() if lease.until), default=None) if build else None


def _claimed(services: Services, message: Message, decide: Callable[[Document | None], Document]) -> Claim:
    _, record = update_record(services, TenantId(message.tenant), DocumentId(message.document), decide)
    if record is None:
        raise Fenced
    return Claim(message, record, record.lease.epoch, record.lease.attempts, deferrals=record.lease.deferrals)


def _rework(services: Services, claim: Claim, change: Callable[[Lease], Lease]) -> None:
    """Change the work item of the claim, wherever it is kept: in the build for embed, else in the record."""
    if claim.message.stage is Stage.EMBED:
        shard = _shard(claim.message)

        def decide_build(build: Build) -> Build:
            return build.with_lease(shard, change(build.lease_of(shard)))

        update_build(services, claim.tenant, claim.document.id, claim.build_id, decide_build)
        return

    def decide(record: Document | None) -> Document:
        record = held(record, claim)
        return replace(record, lease=change(record.lease))

    update_record(services, claim.tenant, claim.document.id, decide)


def _of_generation(record: Document | None, message: Message) -> Document:
    if record is None or record.generation != message.generation:
        raise Fenced
    return record


def _of_build(record: Document | None, build: Build | None, message: Message) -> tuple[Document, Build]:
    record = _of_generation(record, message)
    if not record.in_work or build is None or record.build_id != build.build_id:
        raise Fenced
    if record.cancel:
        raise Cancelled
    return record, build


def _place(message: Message) -> tuple[TenantId, DocumentId, BuildId]:
    """Where the build of an embed message is."""
    assert message.build is not None, "Message.of gives every embed message its build"
    return TenantId(message.tenant), DocumentId(message.document), BuildId(message.generation, message.build)


def _shard(message: Message) -> int:
    assert message.shard is not None, "Message.of gives every embed message its shard"
    return message.shard
