"""The build: the item of an attempt of several shards. It says who works on which shard, and which shards are done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Self

from penstock.domain.chunk import Cut
from penstock.domain.ids import BuildId, DocumentId, TenantId
from penstock.domain.lease import Lease
from penstock.domain.receipt import Receipt


@dataclass(frozen=True, slots=True)
class Build:
    """One cutting of a generation into shards.

    The finished shards are a set and not a counter, so a redelivered message cannot count twice. The worker whose write
    completes the set publishes the build. The sums grow only together with the set.
    """

    tenant: TenantId
    document: DocumentId
    build_id: BuildId
    total: int | None = None
    """The number of shards. It is None until extract has written the last one."""
    written: int = 0
    """The number of shards that extract has saved so far."""
    pages_read: int = 0
    pages: int = 0
    """The number of pages of the whole file, as its format says; 0 where it does not say."""
    done: frozenset[int] = frozenset()
    """The numbers of the finished shards."""
    leases: Mapping[int, Lease] = field(default_factory=dict)
    """The leases of the shards that were claimed and are not done, by shard."""
    chunks: int = 0
    embedded: int = 0
    reopened: int = 0
    """The number of times that the index held fewer chunks than were sent, so that all shards were done again."""
    draft: Receipt | None = None
    """The receipt as far as extract knows it. It is complete once the total is known."""
    resume: Cut | None = None
    """Where the next extract continues, after one stopped at a checkpoint."""
    expires_at: datetime | None = None
    """When the table may drop this item, if nobody has removed it by then."""
    revision: int = 0

    @property
    def complete(self) -> bool:
        return self.total is not None and len(self.done) == self.total

    @property
    def unfinished(self) -> list[int]:
        """Shards that were written and are not done, in order."""
        return [shard for shard in range(self.written) if shard not in self.done]

    def lease_of(self, shard: int) -> Lease:
        """The lease of this shard, or a first one.

        The epochs of a shard count on from the revision, which grows with every lease. So they grow even where a shard
        that was done is done again, and nothing need be kept of finished shards.
        """
        return self.leases.get(shard, Lease(epoch=self.revision))

    def with_lease(self, shard: int, lease: Lease) -> Self:
        return replace(self, leases={**self.leases, shard: lease})

    def reopen(self) -> Self:
        """This build with all of its shards to be done again. Each lease has the number of attempts that this cost."""
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
