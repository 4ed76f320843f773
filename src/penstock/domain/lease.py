"""The lease: the right to work on one stage of one shard until a time, under an epoch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Self

from penstock.domain.errors import Fenced, Leased


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work on one stage of one shard, and how often that was tried. A later lease has a higher epoch;
    a write that names an older one is refused."""

    epoch: int = 0
    until: datetime | None = None
    attempts: int = 0
    not_before: datetime | None = None
    """After a try that failed or has to wait: not before this. A copy of the message has to wait like the message
    itself (I4)."""
    deferrals: int = 0
    """How often it was told to come later since a try failed last."""
    paid: int = 0
    """Texts that were sent to the embedder by tries of this attempt that were put down."""

    def is_alive(self, now: datetime) -> bool:
        return self.until is not None and now < self.until

    def acquired(self, now: datetime, length: timedelta) -> Self:
        """The next lease. One that ended without a word counts as an attempt.

        Raises:
            Leased: another's lease is still alive, or it is to rest.
        """
        if self.until is not None and self.is_alive(now):
            raise Leased(until=self.until)
        if self.not_before is not None and now < self.not_before:
            raise Leased(until=self.not_before)
        lost = self.until is not None
        return replace(self, epoch=self.epoch + 1, until=now + length, attempts=self.attempts + lost, not_before=None)

    def held_by(self, epoch: int) -> Self:
        """This same work, if `epoch` is still the one that holds it.

        Raises:
            Fenced: it was taken by another, or given back.
        """
        if self.epoch != epoch or self.until is None:
            raise Fenced
        return self

    def renewed(self, epoch: int, until: datetime) -> Self:
        return replace(self.held_by(epoch), until=until)

    def released(self, epoch: int) -> Self:
        """Its work is done, or handed back on purpose: no attempt."""
        return replace(self.held_by(epoch), until=None)

    def failed(self, epoch: int, rest: datetime) -> Self:
        """A try failed; the next not before `rest`."""
        return replace(self.held_by(epoch), until=None, attempts=self.attempts + 1, not_before=rest, deferrals=0)

    def deferred(self, epoch: int, rest: datetime) -> Self:
        """It has to wait; that is no attempt."""
        return replace(self.held_by(epoch), until=None, not_before=rest, deferrals=self.deferrals + 1)
