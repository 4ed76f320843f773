"""Claim: take, renew, check and give back the right to work on one stage of one shard (I2, I7)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from penstock.domain.build import Build
from penstock.domain.chunk import Cut
from penstock.domain.document import Document, Pair
from penstock.domain.errors import Cancelled, Fenced, Leased, PenstockError
from penstock.domain.ids import DocumentId, TenantId
from penstock.domain.lease import Work
from penstock.domain.receipt import Failure, Receipt
from penstock.domain.status import FINAL, PUBLISHED, Status
from penstock.domain.task import Message, Stage
from penstock.records.compare_and_set import revise, revise_both, revise_build
from penstock.services import Services


class StageDone(PenstockError):
    """This stage of this shard was done before; what follows it may still be owed."""

    code = "stage_done"


class HandedOn(PenstockError):
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
    again: bool = False
    """Whether somebody held this shard before, and may have left in the index what was paid for."""
    waits: int = 0
    """How often it had to wait since."""

    @property
    def tenant(self) -> TenantId:
        return self.document.tenant

    @property
    def pair(self) -> Pair:
        return self.document.pair

    @property
    def goes_on(self) -> bool:
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
        work = record.work.taken(services.clock(), services.limits.lease)
        # Whoever stops without a word may be stalled and write on: a build of its own keeps its writes apart.
        goes_on = record.handed_on and record.status is Status.EXTRACTING
        build = record.build if goes_on else work.epoch
        stray = record.stray or record.build not in {0, build}
        return record.moved(
            Status.EXTRACTING, work=work, build=build, handed_on=False, stray=stray, pages_read=0, pages=0
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
        for until in (record.quiet, last_shard_lease(services, record)):
            if until is not None and services.clock() < until:
                raise Leased(until=until)
        return record.moved(Status.DELETING, work=record.work.taken(services.clock(), services.limits.lease))

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
        if record is not None and build is not None and record.pair == build.pair and record.status in PUBLISHED:
            raise StageDone
        record, build = _of_build(record, build, message)
        if shard in build.done:
            raise StageDone
        again = shard in build.work
        work = build.work_on(shard)
        return record, build.with_work(shard, work.taken(services.clock(), services.limits.lease))

    document, build = revise_both(services, *_place(message), decide)
    work = build.work[shard]
    return Claim(message, document, work.epoch, work.attempts, again, work.waits)


def renew(services: Services, claim: Claim) -> None:
    """Lengthen the lease.

    Raises:
        Fenced: it is no longer this claim's.
        Transient: it could not be said; try again before the lease ends.
    """
    if claim.message.stage is Stage.EMBED:
        check(services, claim)  # a shard that nobody waits for is not held on to
    until = services.clock() + services.limits.lease
    _rework(services, claim, lambda work: work.renewed(claim.epoch, until))


def check(services: Services, claim: Claim) -> None:
    """A checkpoint: whether to go on.

    Raises:
        Fenced: the work is no longer wanted, or no longer this claim's.
    """
    if claim.message.stage is Stage.EMBED:
        _, build = _of_build(*services.documents.read_both(*_place(claim.message)), claim.message)
        build.work_on(_shard(claim.message)).held(claim.epoch)
    else:
        held(services.documents.read(claim.tenant, claim.document.id), claim)


def tell(services: Services, claim: Claim, pages_read: int, pages: int) -> None:
    """How far the reading is, for whoever waits.

    Raises:
        Fenced: nobody waits for this claim any more.
    """

    def decide(record: Document | None) -> Document:
        return replace(held(record, claim), pages_read=pages_read, pages=pages)

    revise(services, claim.tenant, claim.document.id, decide)


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
    record.work.held(claim.epoch)
    return record


def give_back(services: Services, claim: Claim, failure: Failure, rest: timedelta) -> None:
    """End the lease after a try that failed; the next not before `rest` is over.

    Raises:
        Fenced: the lease was lost, or ended, before.
    """
    until = services.clock() + rest
    _rework(services, claim, lambda work: work.failed(claim.epoch, until))
    note(services, claim, failure)


def wait(services: Services, claim: Claim, rest: timedelta, why: Failure | None = None) -> None:
    """End the lease of what cannot go on before `rest` is over. No try has failed.

    Raises:
        Fenced: the lease was lost, or ended, before.
    """
    until = services.clock() + rest
    _rework(services, claim, lambda work: work.waiting(claim.epoch, until))
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
        revise_build(
            services,
            claim.tenant,
            claim.document.id,
            claim.pair,
            lambda build: replace(build, embedded=build.embedded + texts),
        )
        return

    def decide(record: Document | None) -> Document:
        record = _of_generation(record, claim.message)
        if record.pair != claim.pair or not record.in_work:
            raise Fenced
        return replace(record, work=replace(record.work, paid=record.work.paid + texts))

    revise(services, claim.tenant, claim.document.id, decide)


def hand_on(services: Services, claim: Claim, resume: Cut, draft: Receipt) -> None:
    """End the lease of an extract whose time ran out, and leave word for the next where to go on. No try has failed.

    Raises:
        Fenced: the lease was lost before; nothing was changed.
    """

    def decide(record: Document | None, build: Build | None) -> tuple[Document, Build]:
        record = held(record, claim)
        if build is None:
            raise Fenced
        work = record.work.returned(claim.epoch)
        return replace(record, work=work, handed_on=True), replace(build, resume=resume, draft=draft)

    revise_both(services, claim.tenant, claim.document.id, claim.pair, decide)


def put_down(services: Services, claim: Claim) -> None:
    """End the lease on purpose, with the work undone. No try has failed.

    Raises:
        Fenced: the lease was lost, or ended, before.
    """
    _rework(services, claim, lambda work: work.returned(claim.epoch))


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

    return revise_build(services, claim.tenant, claim.document.id, claim.pair, decide)


def fail(services: Services, claim: Claim, failure: Failure) -> None:
    """The attempt is over. What readers saw before stays what they see; the vectors that were paid for stay in the
    index for a day, so that a retry does not pay for them again.

    Raises:
        Fenced: the claim was lost; nothing was changed.
    """
    due = services.clock() + services.limits.keep_failed

    def failed(record: Document | None) -> Document:
        record = _of_generation(record, claim.message)
        if record.pair != claim.pair or not record.in_work:
            raise Fenced
        if record.cancel:
            raise Cancelled
        return record.moved(Status.FAILED, failure=failure, work=replace(record.work, until=None), stray=True, due=due)

    def extract_failed(record: Document | None) -> Document:
        if record is None or record.work.epoch != claim.epoch:
            raise Fenced
        return failed(record)

    def shard_failed(record: Document | None, build: Build | None) -> tuple[Document, Build]:
        shard = _shard(claim.message)
        if build is None or build.work_on(shard).epoch != claim.epoch:
            raise Fenced
        # The build is written too, and not only read: one who took the shard meanwhile keeps this from coming true.
        return failed(record), build.with_work(shard, replace(build.work_on(shard), until=None))

    if claim.message.stage is Stage.EXTRACT:
        revise(services, claim.tenant, claim.document.id, extract_failed)
    else:
        revise_both(services, claim.tenant, claim.document.id, claim.pair, shard_failed)


def let_go(services: Services, claim: Claim) -> None:
    """End the lease, if it still is this claim's, whatever else has become of the document. No try has failed."""
    if claim.message.stage is not Stage.EMBED:

        def decide(record: Document | None) -> Document | None:
            if record is None or (record.generation, record.work.epoch) != (claim.message.generation, claim.epoch):
                return record
            return record if record.work.until is None else replace(record, work=record.work.returned(claim.epoch))

        revise(services, claim.tenant, claim.document.id, decide)
        return
    shard = _shard(claim.message)

    def decide_build(build: Build) -> Build:
        work = build.work_on(shard)
        if work.epoch != claim.epoch or work.until is None:
            return build
        return build.with_work(shard, work.returned(claim.epoch))

    with suppress(Fenced):  # there is no such build any more
        revise_build(services, claim.tenant, claim.document.id, claim.pair, decide_build)


def note(services: Services, claim: Claim, failure: Failure) -> None:
    """Keep the last cause with its attempt, for whoever asks why it takes so long."""

    def decide(record: Document | None) -> Document:
        record = _of_generation(record, claim.message)
        if record.status in FINAL or record.pair != claim.pair or failure.same(record.failure):
            return record
        return replace(record, failure=failure)

    revise(services, claim.tenant, claim.document.id, decide)


def last_shard_lease(services: Services, record: Document) -> datetime | None:
    """When the last lease of the newest build's shards ends; None where there is none."""
    build = services.documents.read_build(record.tenant, record.id, record.pair)
    return max((work.until for work in build.work.values() if work.until), default=None) if build else None


def _claimed(services: Services, message: Message, decide: Callable[[Document | None], Document]) -> Claim:
    _, record = revise(services, TenantId(message.tenant), DocumentId(message.document), decide)
    if record is None:
        raise Fenced
    return Claim(message, record, record.work.epoch, record.work.attempts, waits=record.work.waits)


def _rework(services: Services, claim: Claim, change: Callable[[Work], Work]) -> None:
    """Change the work item of the claim, wherever it is kept: in the build for embed, else in the record."""
    if claim.message.stage is Stage.EMBED:
        shard = _shard(claim.message)

        def decide_build(build: Build) -> Build:
            return build.with_work(shard, change(build.work_on(shard)))

        revise_build(services, claim.tenant, claim.document.id, claim.pair, decide_build)
        return

    def decide(record: Document | None) -> Document:
        record = held(record, claim)
        return replace(record, work=change(record.work))

    revise(services, claim.tenant, claim.document.id, decide)


def _of_generation(record: Document | None, message: Message) -> Document:
    if record is None or record.generation != message.generation:
        raise Fenced
    return record


def _of_build(record: Document | None, build: Build | None, message: Message) -> tuple[Document, Build]:
    record = _of_generation(record, message)
    if not record.in_work or build is None or record.pair != build.pair:
        raise Fenced
    if record.cancel:
        raise Cancelled
    return record, build


def _place(message: Message) -> tuple[TenantId, DocumentId, Pair]:
    """Where the build of an embed message is."""
    assert message.build is not None, "Message.of gives every embed message its build"
    return TenantId(message.tenant), DocumentId(message.document), Pair(message.generation, message.build)


def _shard(message: Message) -> int:
    assert message.shard is not None, "Message.of gives every embed message its shard"
    return message.shard
