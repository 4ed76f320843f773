"""The ports: Protocols that say what the verbs need of the world, and what each call promises.

Every adapter and every fake of a port passes the same suite under tests/contract. The tenant is the first argument of
every call that touches data (I10). A call that fails for now raises Transient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Protocol

from penstock.domain.build import Build
from penstock.domain.chunk import Candidates, Count, Entry, IndexQuery, Page, Space, TextHash, Vector
from penstock.domain.document import Document
from penstock.domain.ids import BuildId, DocumentId, TenantId
from penstock.domain.provider_budget import ProviderBudget
from penstock.domain.status import check_move
from penstock.domain.task import Lane, Message, Stage
from penstock.domain.upload import AwaitedUpload, UploadId


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored version of an object in the bucket."""

    key: str
    version: str
    size: int
    etag: str


@dataclass(frozen=True, slots=True)
class Listed:
    """A version of an object, or a delete marker, as a listing shows it."""

    key: str
    version: str
    size: int
    etag: str
    stored: datetime
    latest: bool
    """Whether this is the current version of its key."""
    marker: bool
    """Whether this is a delete marker and not a version."""


@dataclass(frozen=True, slots=True)
class PostPolicy:
    """The address that a form is posted to, and its fields. The file is the last field of the form, named `file`."""

    url: str
    fields: Mapping[str, str]


class ObjectStore(Protocol):
    """A versioned bucket. The second part of every key is the tenant: `files/{tenant}/…`, `drop/{tenant}/…`,
    `uploads/{tenant}/…`, `work/{tenant}/…`. A key of another tenant is refused (ForeignKey)."""

    def put(self, tenant: TenantId, key: str, content: BinaryIO, *, content_type: str | None = None) -> Stored:
        """Store a file. It is streamed, so memory does not grow with its size. `content` is read from its current
        position."""

    def get(self, tenant: TenantId, key: str, version: str | None = None) -> AbstractContextManager[Iterator[bytes]]:
        """The bytes of an object, in blocks of at most 1 MiB.

        Raises:
            OriginalMissing: the object or the version does not exist.
        """

    def link(self, tenant: TenantId, key: str, version: str, *, name: str, seconds: int) -> str:
        """A URL from which anyone who has it can download this version, under this name, for this number of seconds."""

    def post_policy(
        self, tenant: TenantId, key: str, *, size: int, content_type: str, sha256: str | None, seconds: int
    ) -> PostPolicy:
        """A form by which anyone who has it can store one file under this key, for this number of seconds. The file has
        exactly this size, this type and, where one is given, this sha256 (in hexadecimal)."""

    def copy(self, tenant: TenantId, stored: Stored, to: str) -> Stored:
        """Copy this version, of at most 5 GB, to another key. Its bytes stay within the store.

        Raises:
            OriginalMissing: the object or the version does not exist.
        """

    def remove(self, tenant: TenantId, key: str, version: str | None = None) -> int:
        """Delete this version and all older versions of exactly this key, or all versions where `version` is None. No
        delete marker is left. It is no error if nothing is there.

        Returns:
            The number of versions that were deleted.
        """

    def listed(self, tenant: TenantId, prefix: str) -> Iterator[Listed]:
        """All versions and delete markers of the keys that begin with this prefix. They are ordered by the bytes of the
        key; the newest version of a key is first. They are read page by page, so memory does not grow with their
        number."""

    def tenants(self) -> set[str]:
        """The second parts of all keys in the bucket, which need not be valid tenant ids. This is for operators."""

    def remove_all(self, tenant: TenantId, prefix: str) -> int:
        """Delete all versions of all keys under this prefix, which ends with '/', and return how many there were."""

    def check(self) -> None:
        """Check that the bucket answers.

        Raises:
            Transient, Misconfigured: the bucket does not answer, or does not exist.
        """


Item = Document | Build


@dataclass(frozen=True, slots=True)
class Change:
    """A change of one item: the item as it was read, and as it shall be.

    It is written only if the item still is as it was read: absent where `before` is None, else with the same generation
    and revision. Where `after` is None, the item is deleted. Every write is a Change, and every Change of a record is
    checked against the table of transitions.
    """

    before: Item | None
    after: Item | None

    def __post_init__(self) -> None:
        if isinstance(self.before, Document) and isinstance(self.after, Document):
            check_move(self.before.status, self.after.status)


class DocumentTable(Protocol):
    """The records and builds. Reads are consistent."""

    def read(self, tenant: TenantId, document: DocumentId) -> Document | None: ...

    def read_many(self, tenant: TenantId, documents: Sequence[DocumentId]) -> Mapping[DocumentId, Document]:
        """The records that exist among these, from one consistent batch read of up to 100. More are read in several."""

    def read_build(self, tenant: TenantId, document: DocumentId, build_id: BuildId) -> Build | None: ...

    def read_both(
        self, tenant: TenantId, document: DocumentId, build_id: BuildId
    ) -> tuple[Document | None, Build | None]:
        """The record and this build of it, by one request. Each is as its last write left it, but a write may come
        between the two reads."""

    def write(self, tenant: TenantId, *changes: Change) -> None:
        """Write all of these changes, or none. The stored revision is that of `before` plus 1 (1 for a new item),
        whatever `after` has. Only `records/compare_and_set.py` calls this.

        Raises:
            Conflict: an item is no longer as it was read. Nothing was written.
        """

    def newest(
        self, tenant: TenantId, limit: int, before: tuple[datetime, DocumentId] | None = None
    ) -> Sequence[tuple[datetime, DocumentId]]:
        """The ids of documents by the accept time of their newest generation, newest first, and descending by id among
        equals. They start after the position `before`. They are read from an index that may lag a moment. Tombstones
        are left out."""

    def tenants(self) -> set[TenantId]:
        """The tenants that have documents other than tombstones. This reads all documents, and may lag a moment. It is
        for operators."""

    def due(self, now: datetime, limit: int) -> Sequence[tuple[TenantId, DocumentId]]:
        """The records of all tenants whose `sweep_at` has come, earliest first within each partition. It may lag a
        moment."""

    def check(self) -> None:
        """Check that the table answers.

        Raises:
            Transient, Misconfigured: the table does not answer, or does not exist.
        """


class TaskQueue(Protocol):
    """The queues that Celery workers consume."""

    def send(self, message: Message, lane: Lane, *, delay: timedelta = timedelta(0)) -> None:
        """Send a message. It is delivered at least once, after `delay`, which is 15 minutes at most."""

    def dead_letter(self, message: Message, reason: str) -> None:
        """Send a message to the dead-letter queue of its stage, with the reason."""

    def dead_letter_counts(self) -> Mapping[Stage, int]:
        """The approximate number of messages in each dead-letter queue."""

    def ping(self, tenant: TenantId, ping: str, lane: Lane) -> None:
        """Send a no-op through the extract queue of this lane. The worker answers by `PingTable.answer`."""

    def check(self) -> None:
        """Check that the queues answer.

        Raises:
            Transient, Misconfigured: a queue does not answer, or does not exist.
        """


class Embedder(Protocol):
    """Turns texts into the vectors of one Space."""

    @property
    def space(self) -> Space: ...

    @property
    def weight(self) -> float:
        """The share of the cosine in the score of a hit, from 0 to 1. The rest is that of BM25."""

    def fits(self, text: str) -> bool:
        """Whether the text fits into the window of the model."""

    def embed(self, tenant: TenantId, texts: Sequence[str]) -> Sequence[Vector | None]:
        """The vectors of the first of these texts, in order, each of length 1. There is at least one, and at most as
        many as one request to the provider takes, so that the caller can keep what was paid for before it asks for
        more. A text that the provider refuses has None.

        Raises:
            Transient: the provider did not answer; with `retry_after` where it said when to ask again.
            Permanent: the call itself is wrong (key or model), whatever the text.
        """

    def embed_query(self, tenant: TenantId, text: str) -> Vector | None:
        """The vector of a question, of length 1; None where the provider refuses the text."""


class ProviderBudgetTable(Protocol):
    """The budget of an embedding provider, for each model, shared by all processes that ask it. It belongs to the
    account that pays, and holds nothing of any tenant."""

    def read(self, model: str) -> ProviderBudget | None:
        """The budget of this model, by a consistent read."""

    def write(self, model: str, before: ProviderBudget | None, after: ProviderBudget) -> ProviderBudget:
        """Write the budget, and return it as stored: its revision is that of `before` plus 1.

        Raises:
            Conflict: it is no longer as it was read. Nothing was written.
        """


class SearchIndex(Protocol):
    """The index of chunks, by words and by vectors. No call of one tenant reaches a chunk of another. An index is bound
    to one Space: opened with another, it raises EmbedderChanged."""

    def known_vectors(self, tenant: TenantId, hashes: Sequence[TextHash]) -> Mapping[TextHash, Vector]:
        """The vectors that are stored for these texts already. Texts without one are left out. Everything that was put
        before the last refresh is seen."""

    def put(self, tenant: TenantId, entries: Sequence[Entry]) -> None:
        """Store these entries; an entry of the same id is overwritten. They are found after `refresh`. Where this
        raises Transient, some of them may be stored."""

    def refresh(self, tenant: TenantId) -> None:
        """Make everything that was put counted and found from now on. A retry after a `put` that failed calls this
        first: it raises where the index cannot take more, before anything is paid for.

        Raises:
            Transient: the index cannot do so now.
        """

    def count(self, tenant: TenantId, document: DocumentId, build_id: BuildId) -> Count:
        """The number of chunks and vectors that the index holds of this build."""

    def without_vector(self, tenant: TenantId, document: DocumentId, build_id: BuildId, limit: int) -> Sequence[int]:
        """The ordinals of the chunks of this build that have no vector, ascending, at most `limit` of them."""

    def builds(
        self, tenant: TenantId, document: DocumentId | None = None
    ) -> Iterator[tuple[DocumentId, BuildId, Count]]:
        """Every build that the index has chunks of, with its counts, for all documents or for one. They are ordered by
        the bytes of the document's id, then by build id. Everything that was put before the last refresh is seen. They
        are read page by page, so memory does not grow with their number."""

    def clear(
        self, tenant: TenantId, document: DocumentId, *, older_than: BuildId | None = None, keep: BuildId | None = None
    ) -> int:
        """Remove the chunks of all builds older than `older_than` (of all builds, where it is None), except those of
        the build `keep`. Chunks that were put and not refreshed yet are removed too.

        Returns:
            The number of chunks that were removed.
        """

    def candidates(self, tenant: TenantId, query: IndexQuery) -> Candidates:
        """The best `depth` candidates of each arm, each scored by both arms. Equal scores are ordered by id,
        ascending."""

    def check(self) -> None:
        """Check that the index answers, and that it was made for this embedder.

        Raises:
            Transient, EmbedderChanged, Misconfigured: it does not, or it was not.
        """


class Reading(Protocol):
    """A file that is being read in a child process. Iterating over it yields its pages. Its properties are valid once
    the first page was asked for, and `warnings` once the last page was read."""

    @property
    def kind(self) -> str:
        """The name of the format: pdf, markdown, text …"""

    @property
    def engine(self) -> str:
        """The library that reads the file."""

    @property
    def paged(self) -> bool:
        """Whether the format has pages."""

    @property
    def pages(self) -> int:
        """The number of pages, without those of files within the file. It is 0 where the format does not say."""

    @property
    def warnings(self) -> Sequence[str]:
        """What readers of the text should know, such as parts that could not be read."""

    @property
    def seeks(self) -> bool:
        """Whether a file of this kind can be read from a later page on, without reading the pages before it."""

    def __iter__(self) -> Iterator[Page]:
        """The pages of the file, in order.

        Raises:
            Permanent: the file cannot be read, or a limit was hit; which and why.
            Transient: no child process could be started.
        """


@dataclass(frozen=True, slots=True)
class Member:
    """A file in an archive, which becomes a document of its own."""

    number: int
    """The number of the file within the archive, counted from 1."""
    path: tuple[str, ...]
    """The name of the file as the archive has it, after the names of the archives within the archive that it is in."""
    media_type: str
    """The media type that its content was found to have."""
    size: int
    content: Iterator[bytes]
    """The bytes of the file, in blocks. They can be read only during the call that hands over this member."""


OnMember = Callable[[Member], None]


class Reader(Protocol):
    """Opens files, in a child process only (I11)."""

    def read(
        self,
        path: Path,
        *,
        name: str,
        declared: str | None,
        first_page: int = 1,
        tenant: TenantId | None = None,
        on_member: OnMember | None = None,
    ) -> AbstractContextManager[Reading]:
        """Open a file. Leaving the context before all was read ends the child process, whatever it is doing. No child
        reads files of two tenants.

        Args:
            name: the name of the file, which may tell its format.
            declared: the media type that the sender gave, if any.
            first_page: the page to start at. It is greater than 1 only for kinds that seek; the pages from there on are
                the same as if all were read.
            tenant: whose file it is.
            on_member: called with each member of an archive, once the whole archive is known to be within the limits. A
                member that cannot be read comes as a page with a problem instead. Without `on_member`, the texts of the
                members are the pages.
        """


@dataclass(frozen=True, slots=True)
class Picture:
    """A page as a grey picture: one byte for each pixel, from 0 (black) to 255 (white), line by line from the top."""

    width: int
    height: int
    pixels: bytes


class Recognizer(Protocol):
    """Finds text in pictures."""

    def recognize(self, picture: Picture) -> str:
        """The text of a picture, in lines. It is empty where no text was found.

        Raises:
            Permanent: this picture cannot be recognized; why.
        """


@dataclass(frozen=True, slots=True)
class ApiKey:
    """The right of a caller to act for one tenant. The secret itself is not stored, only its hash."""

    tenant: TenantId
    id: str
    hash: str
    label: str
    created: datetime


class KeyTable(Protocol):
    """The API keys, stored under their tenant."""

    def store(self, key: ApiKey) -> None: ...

    def find(self, tenant: TenantId, key: str) -> ApiKey | None: ...

    def of(self, tenant: TenantId) -> Sequence[ApiKey]: ...

    def revoke(self, tenant: TenantId, key: str) -> bool:
        """Delete a key, and return whether it existed."""


class PingTable(Protocol):
    """The answers of workers to pings. They are kept for some minutes."""

    def answer(self, tenant: TenantId, ping: str) -> None: ...

    def answered(self, tenant: TenantId, ping: str) -> bool: ...


class UploadTable(Protocol):
    """The uploads that are awaited, each until its `expires_at`. Reads are consistent."""

    def store(self, upload: AwaitedUpload) -> None:
        """Store the upload, replacing what is stored of it. The table drops it some time after its `expires_at`."""

    def find(self, tenant: TenantId, upload: UploadId) -> AwaitedUpload | None: ...


class Clock(Protocol):
    """The clock that the verbs read. Tests replace it."""

    def __call__(self) -> datetime:
        """The present moment, in UTC."""
