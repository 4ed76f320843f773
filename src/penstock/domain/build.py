"""The sibling item of an attempt of several shards: who works on which, which are done, and how many there are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Self

from penstock.domain.chunk import Cut
from penstock.domain.document import BuildId
from penstock.domain.ids import DocumentId, TenantId
from penstock.domain.lease import Lease
from penstock.domain.receipt import Receipt


@dataclass(frozen=True, slots=True)
class Build:
    """One cutting of a generation into shards. The finished shards are a set, never a counter, so a redelivery cannot
    count twice; whoever's write makes the set whole publishes. The sums grow only with the set."""

    tenant: TenantId
    document: DocumentId
    build_id: BuildId
    total: int | None = None
    """How many shards there are; unknown until extract has written the last."""
    written: int = 0
    pages_read: int = 0
    pages: int = 0
    """Of the whole file, as its format says; 0 where it does not say."""
    done: frozenset[int] = frozenset()
    leases: Mapping[int, Lease] = field(default_factory=dict)
    """Of the shards that were claimed and are not done."""
    chunks: int = 0
    embedded: int = 0
    reopened: int = 0
    """How often the index held less than was sent, so that all shards were done again."""
    draft: Receipt | None = None
    """What extract knows of the receipt: whole once the total is known."""
    resume: Cut | None = None
    """Where extract goes on, once its time has run out."""
    expires_at: datetime | None = None
    """When it may go, should nobody have removed it."""
    revision: int = 0

    @property
    def complete(self) -> bool:
        return self.total is not None and len(self.done) == self.total

    @property
    def unfinished(self) -> list[int]:
        """Shards that were written and are not done, in order."""
        return [shard for shard in range(self.written) if shard not in self.done]

    def lease_of(self, shard: int) -> Lease:
        """A shard's epochs count on from the revision, which moves with every lease: so they grow even over a shard
        that was done and is done again, and nothing need be kept of finished ones."""
        return self.leases.get(shard, Lease(epoch=self.revision))

    def with_lease(self, shard: int, lease: Lease) -> Self:
        return replace(self, leases={**self.leases, shard: lease})

    def reopen(self) -> Self:
        """All shards open again, each with the attempts that this cost."""
        reopened = self.reopened + 1
        again = {shard: Lease(epoch=self.revision, attempts=reopened) for shard in range(self.written)}
        return replace(self, reopened=reopened, done=frozenset(), chunks=0, leases=again)

    def finished(self, shard: int, epoch: int, *, chunks: int, embedded: int) -> Self:
        """This build with the shard done.

        Raises:
            Fenced: `epoch` no longer holds the shard.
        """
        self.lease_of(shard).held_by(epoch)
        return replace(
            self,
            done=self.done | {shard},
            leases={other: lease for other, lease in self.leases.items() if other != shard},
            chunks=self.chunks + chunks,
            embedded=self.embedded + embedded,
        )
