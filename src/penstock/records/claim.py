"""A claim: a lease that a worker has taken, and what the worker may do with it (I2, I7).

The lease of extract and of delete is kept in the record (`document_lease.py`), and the lease of a shard in its build
(`shard_lease.py`). This module has what both have in common.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

from penstock.domain.document import Document
from penstock.domain.errors import Cancelled, Fenced, PenstockError
from penstock.domain.ids import BuildId, TenantId
from penstock.domain.lease import Lease
from penstock.domain.receipt import Failure
from penstock.domain.status import FINAL, Status
from penstock.domain.task import Message
from penstock.records.compare_and_set import update_record
from penstock.services import Services


class StageDone(PenstockError):
    """This stage of this shard was done before. The stage that follows it may still be owed."""

    code = "stage_done"


class Checkpointed(PenstockError):
    """The time of this run is over. The next run continues where this one stopped."""

    code = "handed_on"


@dataclass(frozen=True, slots=True)
class Claim(ABC):
    """A lease that was taken. Each write of its holder names the epoch, and a write that names an older one is refused.

    Every method raises Fenced where the lease was lost or has ended, and Transient where a service did not answer.
    """

    message: Message
    document: Document
    """The record as it was when the lease was taken."""
    epoch: int
    attempts: int
    """The number of tries that failed before this one."""
    held_before: bool = False
    """Whether another worker held this shard before. What it paid for may be in the index already."""
    deferrals: int = 0
    """How many times the work was deferred since the last try that failed."""

    @property
    def tenant(self) -> TenantId:
        return self.document.tenant

    @property
    def build_id(self) -> BuildId:
        return self.document.build_id

    @abstractmethod
    def check(self, services: Services) -> None:
        """Ask at a checkpoint whether the work is still wanted, and still this claim's.

        Raises:
            Fenced: it is not.
        """

    @abstractmethod
    def renew(self, services: Services) -> None:
        """Make the lease end one whole length from now.

        Raises:
            Fenced: the lease is no longer this claim's.
            Transient: the table did not answer. Try again before the lease ends.
        """

    @abstractmethod
    def change_lease(self, services: Services, change: Callable[[Lease], Lease]) -> None:
        """Write what `change` makes of the lease, wherever that is kept."""

    def release(self, services: Services) -> None:
        """End the lease on purpose, with the work undone. It does not count as an attempt."""
        self.change_lease(services, lambda lease: lease.released(self.epoch))

    def release_failed(self, services: Services, failure: Failure, delay: timedelta) -> None:
        """End the lease after a try that failed. The next try starts once `delay` is over."""
        not_before = services.clock() + delay
        self.change_lease(services, lambda lease: lease.failed(self.epoch, not_before))
        self.record_failure(services, failure)

    def defer(self, services: Services, delay: timedelta, cause: Failure | None = None) -> None:
        """End the lease of work that cannot go on before `delay` is over. It does not count as an attempt."""
        not_before = services.clock() + delay
        self.change_lease(services, lambda lease: lease.deferred(self.epoch, not_before))
        if cause is not None:
            self.record_failure(services, cause)

    @abstractmethod
    def release_if_held(self, services: Services) -> None:
        """End the lease if it still is this claim's, whatever else became of the document. Never raises Fenced."""

    @abstractmethod
    def add_paid(self, services: Services, texts: int) -> None:
        """Count texts that a try sent to the embedder before it failed or was released: the receipt has them too.

        Raises:
            Fenced: the attempt no longer exists.
        """

    @abstractmethod
    def fail(self, services: Services, failure: Failure) -> None:
        """End the attempt for good. Readers keep what they saw before. The vectors that were paid for stay in the index
        for `Limits.keep_failed`, so that a retry does not pay for them again."""

    def record_failure(self, services: Services, failure: Failure) -> None:
        """Keep the latest cause with its attempt, so that a reader of the record learns why it takes so long."""

        def decide(record: Document | None) -> Document:
            record = of_generation(record, self.message)
            if record.status in FINAL or record.build_id != self.build_id or failure.same(record.failure):
                return record
            return replace(record, failure=failure)

        update_record(services, self.tenant, self.document.id, decide)

    def failed_record(self, services: Services, record: Document, failure: Failure) -> Document:
        """The record with its attempt failed.

        Raises:
            Fenced, Cancelled: the attempt has come to another end.
        """
        if record.generation != self.message.generation or record.build_id != self.build_id or not record.in_work:
            raise Fenced
        if record.cancel:
            raise Cancelled
        return replace(
            record,
            status=Status.FAILED,
            failure=failure,
            lease=replace(record.lease, until=None),
            needs_cleanup=True,
            sweep_at=services.clock() + services.limits.keep_failed,
        )


def of_generation(record: Document | None, message: Message) -> Document:
    """The record, where it is of the generation that the message names.

    Raises:
        Fenced: it is of another, or there is none.
    """
    if record is None or record.generation != message.generation:
        raise Fenced
    return record
