"""What the verbs need of the world: Protocols that say what is promised. Every adapter and every fake of a port passes
one suite under tests/contract. The tenant is the first argument of every call that touches data (I10)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Protocol

from penstock.domain.build import Build
from penstock.domain.chunk import Candidates, Count, Entry, IndexQuery, Page, Space, TextHash, Vector
from penstock.domain.document import BuildId, Document
from penstock.domain.ids import DocumentId, TenantId
from penstock.domain.provider_budget import ProviderBudget
from penstock.domain.status import check_move
from penstock.domain.task import Lane, Message, Stage
from penstock.domain.upload import AwaitedUpload, UploadId


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as it lies in the bucket."""

    key: str
    version: str
    size: int
    etag: str


@dataclass(frozen=True, slots=True)
class Listed:
    """A version of an object, or a marker that it was deleted, as a listing shows it."""

    key: str
    version: str
    size: int
    etag: str
    stored: datetime
    latest: bool
    """Whether this is what a reader of the key gets."""
    marker: bool


@dataclass(frozen=True, slots=True)
class PostPolicy:
    """Where a form is to be posted, and the fields that go before its file, which is the last and named `file`."""

    url: str
    fields: Mapping[str, str]


class ObjectStore(Protocol):
    """A versioned bucket. The second part of every key is the tenant: `files/{tenant}/…`, `drop/{tenant}/…`,
    `uploads/{tenant}/…`, `work/{tenant}/…`; a key of another tenant is refused (ForeignKey). Failures that may pass
    raise Transient."""

    def put(self, tenant: TenantId, key: str, content: BinaryIO, *, content_type: str | None = None) -> Stored:
        """Store a file, streamed: memory does not grow with its size. `content` is read from where it stands."""

    def get(self, tenant: TenantId, key: str, version: str | None = None) -> AbstractContextManager[Iterator[bytes]]:
        """The bytes, in blocks of at most 1 MiB.

        Raises:
            OriginalMissing: there is no such object or version.
        """

    def link(self, tenant: TenantId, key: str, version: str, *, name: str, seconds: int) -> str:
        """An address that gives this version to whoever has it, for so many seconds, to be shown under this name."""

    def post_policy(
        self, tenant: TenantId, key: str, *, size: int, content_type: str, sha256: str | None, seconds: int
    ) -> PostPolicy:
        """Leave to store, within so many seconds, a file of exactly this size and type, and of this sha256 (in
        hexadecimal) where one is given, under exactly this key."""

    def copy(self, tenant: TenantId, stored: Stored, to: str) -> Stored:
        """Store this version, of at most 5 GB, under another key as well; its bytes do not come through here.

        Raises:
            OriginalMissing: there is no such object or version.
        """

    def remove(self, tenant: TenantId, key: str, version: str | None = None) -> int:
        """Delete this version and all older ones of exactly this key (all, where None); how many there were.
        Leaves no delete marker. Nothing there is no error."""

    def listed(self, tenant: TenantId, prefix: str) -> Iterator[Listed]:
        """All versions and markers of the keys that begin with this prefix, by key in order of its bytes, the newest
        version first. Page by page as they are asked for: memory does not grow with their number."""

    def tenants(self) -> set[str]:
        """The second parts of all keys, as they stand there, whoever wrote them: for operators."""

    def remove_all(self, tenant: TenantId, prefix: str) -> int:
        """Delete all versions of all keys under this prefix, which ends with '/'; how many there were."""

    def check(self) -> None:
        """
        Raises:
            Transient, Misconfigured: the bucket does not answer, or is not there.
        """


Item = Document | Build


@dataclass(frozen=True, slots=True)
class Change:
    """One item as it was read and as it shall be. It is written only if the item still is as it was read: absent where
    `before` is None, else of the same generation and revision. `after` None deletes it.

    Nothing is written but by a Change, and a Change is checked against the transition table: so every write is.
    """

    before: Item | None
    after: Item | None

    def __post_init__(self) -> None:
        if isinstance(self.before, Document) and isinstance(self.after, Document):
            check_move(self.before.status, self.after.status)


class DocumentTable(Protocol):
    """The records. Reads are consistent. Failures that may pass raise Transient."""

    def read(self, tenant: TenantId, document: DocumentId) -> Document | None: ...

    def read_many(self, tenant: TenantId, documents: Sequence[DocumentId]) -> Mapping[DocumentId, Document]:
        """Those that exist, from one batched consistent read (of up to 100; more are read in several)."""

    def read_build(self, tenant: TenantId, document: DocumentId, build_id: BuildId) -> Build | None: ...

    def read_both(
        self, tenant: TenantId, document: DocumentId, build_id: BuildId
    ) -> tuple[Document | None, Build | None]:
        """The record and this build of it, by one request. Each is as its last write left it, but another may come
        between the two."""

    def write(self, tenant: TenantId, *changes: Change) -> None:
        """All of them, or none. The stored revision is the one before plus 1 (1 for a new item), whatever `after`
        carries; read again, or use `replace(after, revision=...)`, before changing it further.

        Raises:
            Conflict: an item is no longer as it was read; nothing was written.
        """

    def newest(
        self, tenant: TenantId, limit: int, before: tuple[datetime, DocumentId] | None = None
    ) -> Sequence[tuple[datetime, DocumentId]]:
        """Ids by accept time of their newest generation, newest first (ties by id, descending), from `before` on,
        exclusive. From an index that may lag a moment. Tombstones are left out."""

    def tenants(self) -> set[TenantId]:
        """Whose documents there are, but for tombstones: for operators. Asks for all of them, and may lag a moment."""

    def due(self, now: datetime, limit: int) -> Sequence[tuple[TenantId, DocumentId]]:
        """Records of all tenants whose `due` has come, earliest first within each partition. May lag a moment."""

    def check(self) -> None:
        """
        Raises:
            Transient, Misconfigured: the table does not answer, or is not there.
        """


class TaskQueue(Protocol):
    """Celery's queues. Failures that may pass raise Transient."""

    def send(self, message: Message, lane: Lane, *, delay: timedelta = timedelta(0)) -> None:
        """At least once, invisible for `delay` (at most 15 minutes)."""

    def dead_letter(self, message: Message, reason: str) -> None:
        """To the stage's dead-letter queue, with its reason."""

    def dead_letter_counts(self) -> Mapping[Stage, int]:
        """About how many letters there are in each dead-letter queue, seen by nobody yet."""

    def ping(self, tenant: TenantId, ping: str, lane: Lane) -> None:
        """A no-op through this lane's extract queue; the worker answers by `PingTable.answer`."""

    def check(self) -> None:
        """
        Raises:
            Transient, Misconfigured: a queue does not answer, or is not there.
        """


class Embedder(Protocol):
    """Texts to vectors of one Space."""

    @property
    def space(self) -> Space: ...

    @property
    def weight(self) -> float:
        """How much of a hit's score its cosine makes, 0 to 1; the rest is BM25's."""

    def fits(self, text: str) -> bool:
        """Whether the text is within the model's window."""

    def embed(self, tenant: TenantId, texts: Sequence[str]) -> Sequence[Vector | None]:
        """Unit-length vectors of the first of these texts, in order: as many as one request to the provider takes, and
        at least one, so that what was paid for can be kept before the next is asked for. None for a text that the
        provider refuses.

        Raises:
            Transient: with `retry_after` where the provider said so.
            Permanent: the call itself is wrong (key, model), whatever the text.
        """

    def embed_query(self, tenant: TenantId, text: str) -> Vector | None: ...


class ProviderBudgetTable(Protocol):
    """What all who ask a provider for vectors of one model know of its pace. It is of the account that pays, and holds
    nothing of any tenant. Failures that may pass raise Transient."""

    def read(self, model: str) -> ProviderBudget | None:
        """Consistent."""

    def write(self, model: str, before: ProviderBudget | None, after: ProviderBudget) -> ProviderBudget:
        """As stored: its revision is the one before plus 1.

        Raises:
            Conflict: it is no longer as it was read; nothing was written.
        """


class SearchIndex(Protocol):
    """Chunks by words and by vectors. A tenant's chunks are out of reach of every other tenant's calls.
    Bound to one Space: opened with another it raises EmbedderChanged. Failures that may pass raise Transient."""

    def known_vectors(self, tenant: TenantId, hashes: Sequence[TextHash]) -> Mapping[TextHash, Vector]:
        """Vectors already stored for these texts; absent hashes are left out. Sees what was put before the last
        refresh, at least."""

    def put(self, tenant: TenantId, entries: Sequence[Entry]) -> None:
        """Store or overwrite by entry id, all or as many as possible before a Transient. Found after `refresh`."""

    def refresh(self, tenant: TenantId) -> None:
        """What was put is counted and found from here on, and more can be put: who comes again after a put that failed
        asks for this before it pays for more.

        Raises:
            Transient: not now.
        """

    def count(self, tenant: TenantId, document: DocumentId, build_id: BuildId) -> Count: ...

    def without_vector(self, tenant: TenantId, document: DocumentId, build_id: BuildId, limit: int) -> Sequence[int]:
        """Ordinals of this pair's chunks that have no vector, ascending."""

    def builds(
        self, tenant: TenantId, document: DocumentId | None = None
    ) -> Iterator[tuple[DocumentId, BuildId, Count]]:
        """What there is: of each pair of each document, or of one, by id in order of its bytes, then by pair. Sees what
        was put before the last refresh, at least. Page by page as they are asked for: memory does not grow with their
        number."""

    def clear(
        self, tenant: TenantId, document: DocumentId, *, older_than: BuildId | None = None, keep: BuildId | None = None
    ) -> int:
        """Remove the chunks of all builds older than this (of all builds, where None), except those of the build
        `keep`; how many there were. Includes what was put and not refreshed yet."""

    def candidates(self, tenant: TenantId, query: IndexQuery) -> Candidates:
        """The best `depth` of each arm, every one of the union scored in both. Exact ties by id, ascending."""

    def check(self) -> None:
        """
        Raises:
            Transient, EmbedderChanged, Misconfigured: as it says.
        """


class Reading(Protocol):
    """A file being read, in a child process: iterate for its pages; the facts are true once iteration has begun, the
    warnings once it has ended."""

    @property
    def kind(self) -> str:
        """pdf, markdown, text …"""

    @property
    def engine(self) -> str: ...

    @property
    def paged(self) -> bool: ...

    @property
    def pages(self) -> int:
        """How many there will be, without those of files in it; 0 where the format does not say."""

    @property
    def warnings(self) -> Sequence[str]: ...

    @property
    def seeks(self) -> bool:
        """Whether a file of this kind can be read from a later page on."""

    def __iter__(self) -> Iterator[Page]:
        """
        Raises:
            Permanent: the file cannot be read, or a limit was hit; which and why.
            Transient: no child process could be started.
        """


@dataclass(frozen=True, slots=True)
class Member:
    """A file in an archive, to be a document of its own."""

    number: int
    """Among the files of the archive, from 1."""
    path: tuple[str, ...]
    """Its name, as the archive has it, behind those of the archives that it lies in."""
    media_type: str
    """What its content was found to be."""
    size: int
    content: Iterator[bytes]
    """To be read while it is taken, or left."""


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
        take: OnMember | None = None,
    ) -> AbstractContextManager[Reading]:
        """Leaving the context before all was read ends the child, whatever it was doing. No child reads files of two
        tenants. A `first_page` other than 1 is for kinds that seek alone: the pages from there on, as they would come
        if all were read. Where there is a `take`, it is given each file of an archive as it comes, once all of the
        archive is known to be within the limits; a page without text stands for what is left out. Without it, the
        texts of these files are the pages."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A page as it looks: a byte for each pixel, 0 black to 255 white, line by line from the top."""

    width: int
    height: int
    pixels: bytes


class Recognizer(Protocol):
    """Finds text in pictures. Failures that may pass raise Transient."""

    def recognize(self, picture: Picture) -> str:
        """Its text, in lines; empty where there is none.

        Raises:
            Permanent: this picture cannot be looked at; why.
        """


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A caller's right to act for one tenant. The secret is not here: only its hash is stored."""

    tenant: TenantId
    id: str
    hash: str
    label: str
    created: datetime


class KeyTable(Protocol):
    """API keys, under their tenant."""

    def store(self, key: ApiKey) -> None: ...

    def find(self, tenant: TenantId, key: str) -> ApiKey | None: ...

    def of(self, tenant: TenantId) -> Sequence[ApiKey]: ...

    def revoke(self, tenant: TenantId, key: str) -> bool:
        """False where there was none."""


class PingTable(Protocol):
    """Answers of workers to pings, kept for some minutes."""

    def answer(self, tenant: TenantId, ping: str) -> None: ...

    def answered(self, tenant: TenantId, ping: str) -> bool: ...


class UploadTable(Protocol):
    """Uploads that are awaited, each until its `ends`. Reads are consistent. Failures that may pass raise Transient."""

    def store(self, upload: AwaitedUpload) -> None:
        """As it is now, whatever is there. Dropped some time after its `ends`."""

    def find(self, tenant: TenantId, upload: UploadId) -> AwaitedUpload | None: ...


class Clock(Protocol):
    """The time, so that tests can move it."""

    def __call__(self) -> datetime:
        """Now, in UTC."""
