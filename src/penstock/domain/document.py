"""The document: its record, its states, and who may move them. One small item per document holds all of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Self

from penstock.domain.ids import DocumentId, TenantId
from penstock.domain.lease import Lease
from penstock.domain.receipt import Failure, Receipt, Removal
from penstock.domain.status import Status, check_move
from penstock.domain.task import Lane


@dataclass(frozen=True, slots=True, order=True)
class BuildId:
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


REMEMBERED = 3
"""Of the attempts before the newest, so many last causes are kept."""
_SHORT = 200


@dataclass(frozen=True, slots=True)
class Edition:
    """What readers see of a document: the active pair, the bytes it was cut from, and its receipt."""

    build_id: BuildId
    original: Original
    receipt: Receipt
    source: str


@dataclass(frozen=True, slots=True)
class Document:
    """The record. Changed by `Change` alone: one conditional write, naming the generation and revision it believes in.

    The revision is the finer fence: it moves with every write, so a decision taken on an older reading is refused
    and taken again on what is there now, where `Lease.held` and the generation decide who lost (I2).
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
    has_members: bool = False
    """Documents were made of its files: see members.py."""
    build: int = 0
    """The epoch of the extract that cut the newest generation; 0 before the first claim."""
    lease: Lease = field(default_factory=Lease)
    """Of extract and of delete: epochs grow over both, so that builds of one document never repeat."""
    checkpointed: bool = False
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
    needs_cleanup: bool = False
    """There were earlier builds: their chunks, and what a stalled writer may still write, are cleared once more."""
    quiet_until: datetime | None = None
    """When no lease can be alive any more that a newer generation took the work from."""
    sweep_at: datetime | None = None
    """When the sweep shall look at this record."""
    resend_wait: int = 0
    """Seconds the sweep waits after its next resend; doubled each time."""
    expires_at: datetime | None = None
    """When a tombstone may go."""
    revision: int = 0

    @property
    def build_id(self) -> BuildId:
        """The pair that the newest attempt writes."""
        return BuildId(self.generation, self.build)

    @property
    def visible(self) -> BuildId | None:
        """The pair that readers see now."""
        return None if self.hidden or self.active is None else self.active.build_id

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
