"""The sibling item of an attempt of several shards: who works on which, which are done, and how many there are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from penstock.document import DocumentId, Pair, Receipt, TenantId, Work


@dataclass(frozen=True, slots=True)
class Build:
    """One cutting of a generation into shards. The finished shards are a set, never a counter, so a redelivery cannot
    count twice; whoever's write makes the set whole publishes. The sums grow only with the set."""

    tenant: TenantId
    document: DocumentId
    pair: Pair
    total: int | None = None
    """How many shards there are; unknown until extract has written the last."""
    written: int = 0
    pages_read: int = 0
    pages: int = 0
    """Of the whole file, as its format says; 0 where it does not say."""
    done: frozenset[int] = frozenset()
    work: Mapping[int, Work] = field(default_factory=dict)
    """Of the shards that were claimed and are not done."""
    chunks: int = 0
    embedded: int = 0
    draft: Receipt | None = None
    """What extract knows of the receipt; set together with the total."""
    revision: int = 0

    @property
    def complete(self) -> bool:
        return self.total is not None and len(self.done) == self.total

    @property
    def unfinished(self) -> list[int]:
        """Shards that were written and are not done, in order."""
        return [shard for shard in range(self.written) if shard not in self.done]

    def with_work(self, shard: int, work: Work) -> Self:
        return replace(self, work={**self.work, shard: work})

    def finished(self, shard: int, epoch: int, *, chunks: int, embedded: int) -> Self:
        """This build with the shard done.

        Raises:
            Fenced: `epoch` no longer holds the shard.
        """
        self.work[shard].held(epoch)
        return replace(
            self,
            done=self.done | {shard},
            work={other: work for other, work in self.work.items() if other != shard},
            chunks=self.chunks + chunks,
            embedded=self.embedded + embedded,
        )
