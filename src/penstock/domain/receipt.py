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
    """The number of the try, of its stage and shard, counted from 1."""
    at: datetime | None = None

    def same(self, other: Failure | None) -> bool:
        """Whether both have the same cause, whatever their time and try."""
        return other is not None and (self.code, self.message) == (other.code, other.message)


@dataclass(frozen=True, slots=True)
class Removal:
    """What a removal found of its document. All of it is gone once the removal has ended."""

    chunks: int = 0
    objects: int = 0
    """The number of keys in the bucket."""
    versions: int = 0
    """The number of versions of these keys."""

    def with_more(self, other: Removal) -> Self:
        """This removal together with what a later try found. An earlier try may have removed a part before it was cut
        short, and more may have been written since; so the greater number counts."""
        return replace(
            self,
            chunks=max(self.chunks, other.chunks),
            objects=max(self.objects, other.objects),
            versions=max(self.versions, other.versions),
        )


@dataclass(frozen=True, slots=True)
class Receipt:
    """What went into a document and what came out of it.

    Lists of pages are ranges such as '3,7-9'. A long list is shortened, and then `explained` names the stored object
    that has it whole.
    """

    kind: str
    engine: str
    paged: bool
    """Whether the format has pages. If not, the parts in which it was read are counted as pages."""
    pages: int
    pages_with_text: int
    pages_without_text: str = ""
    pages_damaged: str = ""
    chunks: int = 0
    vectors: int = 0
    members: int = 0
    """The number of files of an archive that became documents of their own."""
    embedded: int = 0
    """The number of texts that were sent to the embedder for this attempt. The other vectors were known already."""
    refused: str = ""
    """The ordinals of the chunks whose texts the embedder refused. They are found by words alone."""
    warnings: tuple[str, ...] = ()
    explained: str | None = None
    seconds: float = 0.0
    """The time from acceptance until the document was searchable, in seconds."""

    @property
    def verdict(self) -> Status:
        """The status that this receipt gives: indexed where everything that went in came out or is explained, else
        partial or no_text."""
        if self.pages_damaged or self.refused or self.vectors != self.chunks:
            return Status.PARTIAL
        return Status.INDEXED if self.chunks or self.members else Status.NO_TEXT
