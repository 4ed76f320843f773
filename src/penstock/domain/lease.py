"""The lease: the right to work on one stage of one shard until a time, under an epoch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Self

from penstock.domain.errors import Fenced, Leased


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work on one stage of one shard until a time, and how often that was tried.

    A later lease has a higher epoch, and a write that names an older epoch is refused.
    """

    epoch: int = 0
    until: datetime | None = None
    """When the lease ends. None where nobody holds it."""
    attempts: int = 0
    """The number of tries that failed, or ended without a word."""
    not_before: datetime | None = None
    """The work may not be taken before this time, because a try failed or has to wait. So a copy of the message waits
    like the message itself (I4)."""
    deferrals: int = 0
    """The number of times that the work was deferred since the last try that failed."""
    paid: int = 0
    """The number of texts that tries of this attempt sent to the embedder before they were released."""

    def is_alive(self, now: datetime) -> bool:
        return self.until is not None and now < self.until

    def acquired(self, now: datetime, length: timedelta) -> Self:
        """The next lease, which ends `length` from now. If the one before was never released, its holder vanished: that
        counts as an attempt.

        Raises:
            Leased: another holds the lease, or the work has to wait.
        """
        if self.until is not None and self.is_alive(now):
            raise Leased(until=self.until)
        if self.not_before is not None and now < self.not_before:
            raise Leased(until=self.not_before)
        lost = self.until is not None
        return replace(self, epoch=self.epoch + 1, until=now + length, attempts=self.attempts + lost, not_before=None)

    def held_by(self, epoch: int) -> Self:
        """This same lease, if the holder with this epoch still has it.

        Raises:
            Fenced: another has taken it, or it was released.
        """
        if self.epoch != epoch or self.until is None:
            raise Fenced
        return self

    def renewed(self, epoch: int, until: datetime) -> Self:
        return replace(self.held_by(epoch), until=until)

    def released(self, epoch: int) -> Self:
        """The lease after its work was done, or released on purpose. This does not count as an attempt."""
        return replace(self.held_by(epoch), until=None)

    def failed(self, epoch: int, not_before: datetime) -> Self:
        """The lease after a try that failed. The next try may not start before `not_before`."""
        return replace(self.held_by(epoch), until=None, attempts=self.attempts + 1, not_before=not_before, deferrals=0)

    def deferred(self, epoch: int, not_before: datetime) -> Self:
        """The lease of work that has to wait until `not_before`. This does not count as an attempt."""
        return replace(self.held_by(epoch), until=None, not_before=not_before, deferrals=self.deferrals + 1)
