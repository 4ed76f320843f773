"""The lease on a shard: the right to embed it. It is kept in the build that the shard belongs to."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

from penstock.domain.build import Build
from penstock.domain.document import Document
from penstock.domain.errors import Cancelled, Fenced
from penstock.domain.ids import BuildId, DocumentId, TenantId
from penstock.domain.lease import Lease
from penstock.domain.receipt import Failure
from penstock.domain.status import PUBLISHED
from penstock.domain.task import Message
from penstock.records.claim import Claim, StageDone, of_generation
from penstock.records.compare_and_set import update_build, update_record_and_build
from penstock.services import Services


def take_embed(services: Services, message: Message) -> ShardLease:
    """Take the lease to embed a shard.

    Raises:
        Leased: another worker holds this shard.
        StageDone: the shard is done.
        Fenced: its build is no longer the one being made.
    """
    shard, held_before = _shard(message), False

    def decide(record: Document | None, build: Build | None) -> tuple[Document, Build]:
        nonlocal held_before
        if record is not None and build is not None and _is_published(record, build):
            raise StageDone
        record, build = _of_build(record, build, message)
        if shard in build.done:
            raise StageDone
        held_before = shard in build.leases
        lease = build.lease_of(shard).acquired(services.clock(), services.limits.lease)
        return record, build.with_lease(shard, lease)

    document, build = update_record_and_build(services, *_place(message), decide)
    lease = build.leases[shard]
    return ShardLease(message, document, lease.epoch, lease.attempts, held_before, lease.deferrals)


def last_shard_lease(services: Services, record: Document) -> datetime | None:
    """When the last lease on a shard of the newest build ends. None where no shard is held."""
    build = services.documents.read_build(record.tenant, record.id, record.build_id)
    return max((lease.until for lease in build.leases.values() if lease.until), default=None) if build else None


@dataclass(frozen=True, slots=True)
class ShardLease(Claim):
    """The claim of an embed."""

    @property
    def shard(self) -> int:
        return _shard(self.message)

    def check(self, services: Services) -> None:
        _, build = _of_build(*services.documents.read_both(*_place(self.message)), self.message)
        build.lease_of(self.shard).held_by(self.epoch)

    def renew(self, services: Services) -> None:
        self.check(services)  # the lease on a shard that is no longer wanted is not renewed
        until = services.clock() + services.limits.lease
        self.change_lease(services, lambda lease: lease.renewed(self.epoch, until))

    def change_lease(self, services: Services, change: Callable[[Lease], Lease]) -> None:
        def decide(build: Build) -> Build:
            return build.with_lease(self.shard, change(build.lease_of(self.shard)))

        self._update_build(services, decide)

    def release_if_held(self, services: Services) -> None:
        def decide(build: Build) -> Build:
            lease = build.lease_of(self.shard)
            if lease.epoch != self.epoch or lease.until is None:
                return build
            return build.with_lease(self.shard, lease.released(self.epoch))

        with suppress(Fenced):  # the build no longer exists
            self._update_build(services, decide)

    def finish(self, services: Services, *, chunks: int, embedded: int) -> Build:
        """Mark the shard as done, and return the build that this makes.

        The build is read again, though the claim once wrote it: where shards are embedded side by side, others have
        nearly always written since (53 of 59 times), and a write that is refused costs as much as five reads.

        Raises:
            Fenced: the lease was lost. Its new holder finishes the shard.
        """

        def decide(build: Build) -> Build:
            return build.finished(self.shard, self.epoch, chunks=chunks, embedded=embedded)

        return self._update_build(services, decide)

    def add_paid(self, services: Services, texts: int) -> None:
        if texts:
            self._update_build(services, lambda build: replace(build, embedded=build.embedded + texts))

    def fail(self, services: Services, failure: Failure) -> None:
        def decide(record: Document | None, build: Build | None) -> tuple[Document, Build]:
            if record is None or build is None or build.lease_of(self.shard).epoch != self.epoch:
                raise Fenced
            # The build is written too, and not only read: if another takes the shard meanwhile, this write is refused.
            ended = build.with_lease(self.shard, replace(build.lease_of(self.shard), until=None))
            return self.failed_record(services, record, failure), ended

        update_record_and_build(services, self.tenant, self.document.id, self.build_id, decide)

    def _update_build(self, services: Services, decide: Callable[[Build], Build]) -> Build:
        return update_build(services, self.tenant, self.document.id, self.build_id, decide)


def _is_published(record: Document, build: Build) -> bool:
    return record.build_id == build.build_id and record.status in PUBLISHED


def _of_build(record: Document | None, build: Build | None, message: Message) -> tuple[Document, Build]:
    """Record and build, where the build is the one being made.

    Raises:
        Fenced, Cancelled: it is not.
    """
    record = of_generation(record, message)
    if not record.in_work or build is None or record.build_id != build.build_id:
        raise Fenced
    if record.cancel:
        raise Cancelled
    return record, build


def _place(message: Message) -> tuple[TenantId, DocumentId, BuildId]:
    """Where the build of an embed message is stored."""
    assert message.build is not None, "Message.of gives every embed message its build"
    return TenantId(message.tenant), DocumentId(message.document), BuildId(message.generation, message.build)


def _shard(message: Message) -> int:
    assert message.shard is not None, "Message.of gives every embed message its shard"
    return message.shard
