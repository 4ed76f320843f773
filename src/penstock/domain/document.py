"""The document: its record, which is one small item that holds everything about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from penstock.domain.ids import BuildId, DocumentId, TenantId
from penstock.domain.lease import Lease
from penstock.domain.receipt import Failure, Receipt, Removal
from penstock.domain.status import Status
from penstock.domain.task import Lane


@dataclass(frozen=True, slots=True)
class Original:
    """The bytes of a generation as they are stored in the bucket. `sha256` is None until they have been hashed."""

    key: str
    version: str
    name: str
    size: int
    etag: str
    sha256: str | None = None
    content_type: str | None = None
    sequencer: str | None = None
    """The order of S3's events for this key; see `earlier`."""


REMEMBERED = 3
"""The number of failures of earlier attempts that a record keeps."""
_SHORT = 200
"""The maximum length of the message of a kept failure, in characters."""


@dataclass(frozen=True, slots=True)
class Edition:
    """What readers see of a document: the active build, the bytes it was cut from, and its receipt."""

    build_id: BuildId
    original: Original
    receipt: Receipt
    source: str


@dataclass(frozen=True, slots=True)
class Document:
    """The record of a document. It is changed only by a `Change`: a conditional write that names the generation and the
    revision that were read.

    The revision grows with every write. So a decision that was taken on an older reading is refused, and taken again on
    the present record, where the generation and `Lease.held_by` decide who lost (I2).
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
    """The archive that the document came in, if it did. A document whose archive is gone is hidden."""
    has_members: bool = False
    """Whether this is an archive whose files became documents; see `documents/archive_members.py`."""
    build: int = 0
    """The number of the newest build: the epoch of the extract that makes it. It is 0 before the first claim."""
    lease: Lease = field(default_factory=Lease)
    """The lease of extract and of delete. Its epochs grow over both, so that the builds of a document never repeat."""
    checkpointed: bool = False
    """Whether extract stopped at a checkpoint because its time was over. The next extract continues the same build,
    whose item says where."""
    active: Edition | None = None
    pages_read: int = 0
    """The number of pages that the newest attempt has read, written from time to time. A build of several shards has
    its own."""
    pages: int = 0
    """The number of pages of the whole file, as its format says; 0 where that is not known yet."""
    receipt: Receipt | None = None
    """The receipt of the newest generation, once it is published."""
    failure: Failure | None = None
    """The failure of the newest attempt. A failure of an earlier attempt is never shown with it."""
    history: tuple[Failure, ...] = ()
    """The failures that earlier attempts on the same bytes ended with; the latest is last."""
    cancel: bool = False
    """Whether a cancel was requested while a worker held the lease. The worker sees it at its next checkpoint.
    Meanwhile nothing is claimed or published."""
    removal: Removal | None = None
    needs_cleanup: bool = False
    """Whether there were earlier builds. Their chunks, and what a stalled writer may still write, are cleared once
    more."""
    quiet_until: datetime | None = None
    """When the leases of an earlier generation, from which a newer one took over, have ended for certain."""
    sweep_at: datetime | None = None
    """When the sweep shall look at this record. None where it need not."""
    resend_wait: int = 0
    """The number of seconds that the sweep waits after its next resend. It doubles each time."""
    expires_at: datetime | None = None
    """When a tombstone may be removed."""
    revision: int = 0

    @property
    def build_id(self) -> BuildId:
        """The build that the newest attempt writes."""
        return BuildId(self.generation, self.build)

    @property
    def visible(self) -> BuildId | None:
        """The build that readers see now, if there is one."""
        return None if self.hidden or self.active is None else self.active.build_id

    @property
    def hidden(self) -> bool:
        """Whether the document is deleted or being deleted. Then nothing of it is shown, and no member of it."""
        return self.status in {Status.DELETING, Status.DELETED}

    @property
    def in_work(self) -> bool:
        """Whether work on the newest generation was started and has not ended."""
        return self.status in {Status.EXTRACTING, Status.EMBEDDING}

    @property
    def remembered(self) -> tuple[Failure, ...]:
        """The history that the record has once a new attempt on these bytes starts."""
        if self.failure is None:
            return self.history
        return (*self.history, replace(self.failure, message=self.failure.message[:_SHORT]))[-REMEMBERED:]


def earlier(sequencer: str, other: str) -> bool:
    """Whether the S3 event with this sequencer came before the other one of the same key. Sequencers are hexadecimal;
    the shorter one is padded with zeros on the right, and they are compared as text (Amazon S3, "Event message
    structure")."""
    length = max(len(sequencer), len(other))
    return sequencer.upper().ljust(length, "0") < other.upper().ljust(length, "0")


def milliseconds(moment: datetime) -> int:
    """The number of milliseconds from 1970, UTC, to this moment."""
    return int(moment.timestamp() * 1000)


def moment(milliseconds: int) -> datetime:
    """The moment that is this number of milliseconds after 1970, UTC."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
