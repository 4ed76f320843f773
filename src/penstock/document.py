"""The document: its record, its states, and who may move them. One small item per document holds all of it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import NewType, Self

from penstock.errors import BadRequest, Fenced, IllegalTransition, Leased
from penstock.task import Lane

TenantId = NewType("TenantId", str)
DocumentId = NewType("DocumentId", str)

_TENANT = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_DOCUMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def tenant_id(text: str) -> TenantId:
    """
    Raises:
        BadRequest: it is not 1 to 63 of a-z, 0-9 and '-', beginning with a letter or digit.
    """
    if not is_tenant_id(text):
        raise BadRequest(why=f"{text!r} is no tenant id: use 1 to 63 of a-z, 0-9 and '-', a letter or digit first.")
    return TenantId(text)


def is_tenant_id(text: str) -> bool:
    return _TENANT.fullmatch(text) is not None


def document_id(text: str) -> DocumentId:
    """
    Raises:
        BadRequest: it is not 1 to 128 of A-Z, a-z, 0-9, '.', '_' and '-', beginning with a letter or digit.
    """
    if not _DOCUMENT.fullmatch(text):
        raise BadRequest(
            why=f"{text!r} is no document id: use 1 to 128 of A-Z, a-z, 0-9, '.', '_' and '-', a letter or digit first."
        )
    return DocumentId(text)


def derived_id(*identity: str) -> DocumentId:
    """The id of a document whose caller gave none: a hash of what identifies it, the tenant first."""
    return DocumentId(hashlib.sha256("\0".join(identity).encode()).hexdigest()[:32])


class Status(StrEnum):
    """How the newest generation stands. `TRANSITIONS` says what may follow what."""

    QUEUED = "queued"
    EXTRACTING = "extracting"
    EMBEDDING = "embedding"
    INDEXED = "indexed"
    PARTIAL = "partial"
    NO_TEXT = "no_text"
    FAILED = "failed"
    CANCELLED = "cancelled"
    DELETING = "deleting"
    DELETED = "deleted"


_S = Status
PUBLISHED = frozenset({_S.INDEXED, _S.PARTIAL, _S.NO_TEXT})
FINAL = PUBLISHED | {_S.FAILED, _S.CANCELLED, _S.DELETED}
TRANSITIONS: Mapping[Status, frozenset[Status]] = MappingProxyType(
    {
        _S.QUEUED: frozenset({_S.EXTRACTING, _S.CANCELLED, _S.DELETING}),
        _S.EXTRACTING: PUBLISHED | {_S.EMBEDDING, _S.FAILED, _S.CANCELLED, _S.DELETING, _S.QUEUED},
        _S.EMBEDDING: frozenset({_S.INDEXED, _S.PARTIAL, _S.FAILED, _S.CANCELLED, _S.DELETING, _S.QUEUED}),
        _S.INDEXED: frozenset({_S.QUEUED, _S.DELETING}),
        _S.PARTIAL: frozenset({_S.QUEUED, _S.DELETING}),
        _S.NO_TEXT: frozenset({_S.QUEUED, _S.DELETING}),
        _S.FAILED: frozenset({_S.QUEUED, _S.DELETING}),
        _S.CANCELLED: frozenset({_S.QUEUED, _S.DELETING}),
        _S.DELETING: frozenset({_S.DELETED}),
        _S.DELETED: frozenset({_S.QUEUED}),
    }
)
"""What may follow each status. Staying in one is always allowed: a lease, a mark, a newer generation is not a move."""


@dataclass(frozen=True, slots=True, order=True)
class Pair:
    """A generation, and one build of it: one cutting into chunks. Readers see the chunks of exactly one pair."""

    generation: int
    build: int

    def __str__(self) -> str:
        return f"{self.generation}.{self.build}"


@dataclass(frozen=True, slots=True)
class Original:
    """The bytes of a generation as they lie in the bucket. `sha256` is unknown until somebody has hashed them."""

    key: str
    version: str
    name: str
    size: int
    etag: str
    sha256: str | None = None
    content_type: str | None = None
    sequencer: str | None = None
    """S3's order of events for this key; see `earlier`."""


@dataclass(frozen=True, slots=True)
class Work:
    """The right to work on one stage of one shard, and how often that was tried. A later lease has a higher epoch;
    a write that names an older one is refused."""

    epoch: int = 0
    until: datetime | None = None
    attempts: int = 0
    rest: datetime | None = None
    """After a try that failed or has to wait: not before this. A copy of the message has to wait like the message
    itself (I4)."""
    waits: int = 0
    """How often it was told to come later since a try failed last."""
    paid: int = 0
    """Texts that were sent to the embedder by tries of this attempt that were put down."""

    def alive(self, now: datetime) -> bool:
        return self.until is not None and now < self.until

    def taken(self, now: datetime, length: timedelta) -> Self:
        """The next lease. One that ended without a word counts as an attempt.

        Raises:
            Leased: another's lease is still alive, or it is to rest.
        """
        if self.until is not None and self.alive(now):
            raise Leased(until=self.until)
        if self.rest is not None and now < self.rest:
            raise Leased(until=self.rest)
        lost = self.until is not None
        return replace(self, epoch=self.epoch + 1, until=now + length, attempts=self.attempts + lost, rest=None)

    def held(self, epoch: int) -> Self:
        """This same work, if `epoch` is still the one that holds it.

        Raises:
            Fenced: it was taken by another, or given back.
        """
        if self.epoch != epoch or self.until is None:
            raise Fenced
        return self

    def renewed(self, epoch: int, until: datetime) -> Self:
        return replace(self.held(epoch), until=until)

    def returned(self, epoch: int) -> Self:
        """Its work is done, or handed back on purpose: no attempt."""
        return replace(self.held(epoch), until=None)

    def failed(self, epoch: int, rest: datetime) -> Self:
        """A try failed; the next not before `rest`."""
        return replace(self.held(epoch), until=None, attempts=self.attempts + 1, rest=rest, waits=0)

    def waiting(self, epoch: int, rest: datetime) -> Self:
        """It has to wait; that is no attempt."""
        return replace(self.held(epoch), until=None, rest=rest, waits=self.waits + 1)


REMEMBERED = 3
"""Of the attempts before the newest, so many last causes are kept."""
_SHORT = 200


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


@dataclass(frozen=True, slots=True)
class Edition:
    """What readers see of a document: the active pair, the bytes it was cut from, and its receipt."""

    pair: Pair
    original: Original
    receipt: Receipt
    source: str


@dataclass(frozen=True, slots=True)
class Document:
    """The record. Changed by `Change` alone: one conditional write, naming the generation and revision it believes in.

    The revision is the finer fence: it moves with every write, so a decision taken on an older reading is refused
    and taken again on what is there now, where `Work.held` and the generation decide who lost (I2).
    """

    tenant: TenantId
    id: DocumentId
    generation: int
    status: Status
    accepted: datetime
    original: Original
    source: str
    lane: Lane = Lane.STANDARD
    metadata: Mapping[str, str] = field(default_factory=dict)
    container: DocumentId | None = None
    """The archive that it came in, where it did: without that one, it is hidden."""
    holds: bool = False
    """Documents were made of its files: see members.py."""
    build: int = 0
    """The epoch of the extract that cut the newest generation; 0 before the first claim."""
    work: Work = Work()
    """Of extract and of delete: epochs grow over both, so that builds of one document never repeat."""
    handed_on: bool = False
    """Extract stopped, as its time ran out, and goes on under the same build (its item says where)."""
    active: Edition | None = None
    pages_read: int = 0
    """Of the newest attempt, told from time to time; a build of several shards tells of itself."""
    pages: int = 0
    """Of the whole file, as its format says; 0 where nobody knows yet."""
    receipt: Receipt | None = None
    """Of the newest generation, once published."""
    failure: Failure | None = None
    """Of the newest attempt alone: none of an earlier one is ever shown with it."""
    history: tuple[Failure, ...] = ()
    """What the attempts before it, on the same bytes, ended with; the latest last."""
    cancel: bool = False
    """Asked for while somebody holds the work: seen at the next checkpoint. Nothing is claimed or published then."""
    removal: Removal | None = None
    stray: bool = False
    """There were earlier builds: their chunks, and what a stalled writer may still write, are cleared once more."""
    quiet: datetime | None = None
    """When no lease can be alive any more that a newer generation took the work from."""
    due: datetime | None = None
    """When the sweep shall look at this record."""
    wait: int = 0
    """Seconds the sweep waits after its next resend; doubled each time."""
    ends: datetime | None = None
    """When a tombstone may go."""
    revision: int = 0

    @property
    def pair(self) -> Pair:
        """The pair that the newest attempt writes."""
        return Pair(self.generation, self.build)

    @property
    def visible(self) -> Pair | None:
        """The pair that readers see now."""
        return None if self.hidden or self.active is None else self.active.pair

    @property
    def hidden(self) -> bool:
        """Whether it is deleted, or soon will be: nothing of it, or of what came in it, is shown."""
        return self.status in {Status.DELETING, Status.DELETED}

    @property
    def in_work(self) -> bool:
        """Whether somebody has begun on the newest generation, and it has not come to its end."""
        return self.status in {Status.EXTRACTING, Status.EMBEDDING}

    @property
    def remembered(self) -> tuple[Failure, ...]:
        """The history once a new attempt on these bytes begins."""
        if self.failure is None:
            return self.history
        return (*self.history, replace(self.failure, message=self.failure.message[:_SHORT]))[-REMEMBERED:]

    def moved(self, status: Status, **fields: object) -> Self:
        """
        Raises:
            IllegalTransition: the table does not allow this move.
        """
        check_move(self.status, status)
        return replace(self, status=status, **fields)  # type: ignore[arg-type]


def check_move(before: Status, after: Status) -> None:
    """
    Raises:
        IllegalTransition: the table does not allow this move.
    """
    if after is not before and after not in TRANSITIONS[before]:
        raise IllegalTransition(before=before, after=after)


def earlier(sequencer: str, other: str) -> bool:
    """Whether S3's event with this sequencer came before the other, of the same key: hexadecimal strings, the shorter
    one padded with zeros on the right, compared as text (Amazon S3, "Event message structure")."""
    length = max(len(sequencer), len(other))
    return sequencer.upper().ljust(length, "0") < other.upper().ljust(length, "0")


def milliseconds(moment: datetime) -> int:
    """Milliseconds since 1970, UTC."""
    return int(moment.timestamp() * 1000)


def moment(milliseconds: int) -> datetime:
    """The moment so many milliseconds after 1970, UTC."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
