"""The receipt of a document: what went in and what came out; and the failures and removals of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self

from penstock.domain.status import Status


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt failed, or what its last try ran into."""

    code: str
    message: str
    attempt: int = 0
    """Which try of its stage and shard it was, from 1."""
    at: datetime | None = None

    def same(self, other: Failure | None) -> bool:
        """Whether this is the same cause, whenever and at whichever try."""
        return other is not None and (self.code, self.message) == (other.code, other.message)


@dataclass(frozen=True, slots=True)
class Removal:
    """What a removal found of its document, all of which is gone once it has ended."""

    chunks: int = 0
    objects: int = 0
    """Keys of the bucket."""
    versions: int = 0
    """Of these keys."""

    def with_more(self, other: Removal) -> Self:
        """A try that is cut short has removed some: the next finds the rest, and what was written since."""
        return replace(
            self,
            chunks=max(self.chunks, other.chunks),
            objects=max(self.objects, other.objects),
            versions=max(self.versions, other.versions),
        )


@dataclass(frozen=True, slots=True)
class Receipt:
    """What went in and what came out. Page lists are ranges such as '3,7-9'; long ones are cut, and then
    `explained` names the stored object that has them whole."""

    kind: str
    engine: str
    paged: bool
    """False where the format has no pages: what is counted then are the parts it was read in."""
    pages: int
    pages_with_text: int
    pages_without_text: str = ""
    pages_damaged: str = ""
    chunks: int = 0
    vectors: int = 0
    members: int = 0
    """Of an archive: its files that are documents of their own."""
    embedded: int = 0
    """Texts that were sent to the embedder for this attempt; the other vectors were known already."""
    refused: str = ""
    """Ordinals of chunks that the embedder refused; they are found by words alone."""
    warnings: tuple[str, ...] = ()
    explained: str | None = None
    seconds: float = 0.0
    """From acceptance to searchable."""

    @property
    def verdict(self) -> Status:
        """indexed, where all that went in came out or is explained; else partial, or no_text."""
        if self.pages_damaged or self.refused or self.vectors != self.chunks:
            return Status.PARTIAL
        return Status.INDEXED if self.chunks or self.members else Status.NO_TEXT
