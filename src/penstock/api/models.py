"""Models: what the API answers with, field by field."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from pydantic import BaseModel, Field

from penstock.api.problems import Dependency, Problem
from penstock.documents import progress as views
from penstock.domain import receipt as receipts
from penstock.domain.document import Document
from penstock.domain.status import Status
from penstock.domain.task import Lane, TaskState


class Progress(BaseModel):
    """How far it is. A page counts half when it is read, and whole when the shards that it is in are indexed."""

    current: int
    total: int | None = Field(description="Null while nobody knows how many there are.")
    unit: str = Field(description="pages; parts, where the format has no pages; documents, for a removal.")

    @classmethod
    def of(cls, come: views.Progress) -> Self:
        return cls(current=come.current, total=come.total, unit=come.unit)


class Failure(BaseModel):
    """Why it failed, or what the last try of one that goes on ran into."""

    code: str
    message: str
    attempt: int | None = Field(description="Which try of its stage it was, from 1; null where that is not known.")
    at: datetime | None

    @classmethod
    def of(cls, failure: receipts.Failure | None) -> Self | None:
        if failure is None:
            return None
        return cls(code=failure.code, message=failure.message, attempt=failure.attempt or None, at=failure.at)


class Receipt(BaseModel):
    """What went in and what came out: pages = with text + without + damaged; vectors = chunks, unless some were
    refused. Lists of pages and of chunks are ranges such as `3,7-9`."""

    kind: str = Field(description="What the content turned out to be.")
    engine: str = Field(description="What read it.")
    paged: bool = Field(description="False where the format has no pages: the parts it was read in are counted then.")
    pages: int
    pages_with_text: int
    pages_without_text: str
    pages_damaged: str
    chunks: int
    vectors: int
    members: int = Field(default=0, description="Of an archive: its files that are documents of their own.")
    embedded: int = Field(description="Texts that were sent to the embedder for it; the other vectors were known.")
    refused: str = Field(description="Chunks that the embedder refused; they are found by their words alone.")
    warnings: tuple[str, ...]
    explained: str | None = Field(description="The stored object that has the lists whole, where they were cut here.")
    seconds: float = Field(description="From acceptance to searchable.")

    @classmethod
    def of(cls, receipt: receipts.Receipt | None) -> Self | None:
        return None if receipt is None else cls.model_validate(receipt, from_attributes=True)


class Active(BaseModel):
    """What readers find now; while a newer generation is on its way, or after it failed, the one before."""

    generation: int
    build: int
    name: str
    chunks: int

    @classmethod
    def of(cls, document: Document) -> Self | None:
        if document.visible is None or document.active is None:
            return None
        build_id, edition = document.visible, document.active
        return cls(
            generation=build_id.generation,
            build=build_id.build,
            name=edition.original.name,
            chunks=edition.receipt.chunks,
        )


class DocumentSummary(BaseModel):
    """A document in a list."""

    document_id: str
    name: str
    status: Status
    searchable: bool = Field(description="Whether readers find it now.")
    generation: int = Field(description="Grows with each version of the bytes.")
    source: str
    lane: Lane
    size: int = Field(description="Bytes.")
    accepted_at: datetime
    chunks: int | None = Field(description="Of the newest generation, once it is published.")
    container: str | None = Field(default=None, description="The archive that it came in, where it did.")
    error: Failure | None

    @classmethod
    def of(cls, document: Document) -> Self:
        return cls(
            document_id=document.id,
            name=document.original.name,
            status=document.status,
            searchable=document.visible is not None,
            generation=document.generation,
            source=document.source,
            lane=document.lane,
            size=document.original.size,
            accepted_at=document.accepted,
            chunks=document.receipt.chunks if document.receipt else None,
            container=document.container,
            error=Failure.of(document.failure),
        )


class DocumentList(BaseModel):
    """A page of documents, newest first."""

    documents: list[DocumentSummary]
    next: str | None = Field(description="The cursor of the next page; null where there is none.")


class DocumentDetail(BaseModel):
    """A document: its newest generation, and what readers find of it."""

    document_id: str
    name: str
    status: Status
    generation: int
    source: str
    lane: Lane
    metadata: dict[str, str]
    container: str | None = Field(default=None, description="The archive that it came in, where it did.")
    size: int = Field(description="Bytes.")
    sha256: str | None = Field(description="Null until its bytes were hashed.")
    content_type: str | None
    accepted_at: datetime
    progress: Progress
    chunks: int = Field(description="Of the newest generation, indexed so far.")
    receipt: Receipt | None = Field(description="Of the newest generation, once it is published.")
    error: Failure | None
    history: list[Failure] = Field(description="What the last few attempts before, on the same bytes, ended with.")
    active: Active | None = Field(description="What readers find now; null where nothing is found.")
    task_id: str = Field(description="The task that makes the newest generation searchable.")

    @classmethod
    def of(cls, document: Document, come: views.Progress, task_id: str) -> Self:
        return cls(
            document_id=document.id,
            name=document.original.name,
            status=document.status,
            generation=document.generation,
            source=document.source,
            lane=document.lane,
            metadata=dict(document.metadata),
            container=document.container,
            size=document.original.size,
            sha256=document.original.sha256,
            content_type=document.original.content_type,
            accepted_at=document.accepted,
            progress=Progress.of(come),
            chunks=come.chunks,
            receipt=Receipt.of(document.receipt),
            error=Failure.of(document.failure),
            history=[each for each in map(Failure.of, document.history) if each is not None],
            active=Active.of(document),
            task_id=task_id,
        )


class Accepted(BaseModel):
    """A file that will be kept, and the task to poll."""

    name: str
    document_id: str
    task_id: str
    status_url: str
    already_here: bool = Field(description="The same bytes were here already: there was nothing to do.")


class Refused(BaseModel):
    """A file that was not taken, and why."""

    name: str
    problem: Problem


class Added(BaseModel):
    """What became of each file, in the order they came."""

    documents: list[Accepted | Refused]


class Link(BaseModel):
    """A short-lived address of an original; whoever has it can read the file."""

    url: str
    expires_at: datetime


class Announced(BaseModel):
    """Where a file is to be sent, how, and until when; whoever has this can send it."""

    upload_id: str
    document_id: str = Field(description="What the file will be.")
    url: str = Field(description="Where to post a multipart form.")
    fields: dict[str, str] = Field(description="Its fields, to be sent as they are; the file goes last, as `file`.")
    expires_at: datetime
    task_id: str
    status_url: str


class TaskStarted(BaseModel):
    """A task, and where to poll it."""

    task_id: str
    status_url: str


class Removed(BaseModel):
    """What a removal found of its document; none of it was left when it ended, which was counted too."""

    chunks: int = Field(description="Of the index.")
    objects: int = Field(description="Of the bucket: the original, and what was derived from it.")
    versions: int = Field(description="Of these objects.")

    @classmethod
    def of(cls, removal: receipts.Removal | None) -> Self | None:
        return None if removal is None else cls.model_validate(removal, from_attributes=True)


class TaskResult(BaseModel):
    """What a task that succeeded has left."""

    document_id: str
    generation: int | None
    receipt: Receipt | None = Field(description="Of an ingest; null for a removal.")
    removed: Removed | None = Field(description="Of a removal, until the document is there again; null for an ingest.")


class Task(BaseModel):
    """How a task stands, in Celery's words."""

    task_id: str
    operation: str
    document_id: str
    state: TaskState
    document_status: Status | None = Field(description="Null while the file of an upload is awaited.")
    progress: Progress
    result: TaskResult | None
    error: Failure | None = Field(description="Why it failed; while it goes on, what its last try ran into.")
    reason: str | None = Field(
        description="Why it was revoked: cancelled, deleted or superseded; cancelling, while that is on its way."
    )
    next_steps: list[str] = Field(description="For a failed one: what to do.")

    @classmethod
    def of(cls, view: views.TaskView) -> Self:
        done = TaskResult(
            document_id=view.document,
            generation=view.generation,
            receipt=Receipt.of(view.receipt),
            removed=Removed.of(view.removal),
        )
        return cls(
            task_id=str(view.id),
            operation=view.id.operation,
            document_id=view.document,
            state=view.state,
            document_status=view.status,
            progress=Progress.of(view.progress),
            result=done if view.state is TaskState.SUCCESS else None,
            error=Failure.of(view.failure),
            reason=view.reason,
            next_steps=list(view.next_steps),
        )


class PageSpan(BaseModel):
    """Both ends counted, from 1."""

    first: int
    last: int


class Parts(BaseModel):
    """What each arm of the search adds to a score."""

    words: float
    vectors: float


class Hit(BaseModel):
    """A chunk that answers the query, with what a citation needs."""

    document_id: str
    name: str
    source: str
    generation: int
    page: int | None = Field(description="On which the snippet stands. Null where the format has no pages.")
    pages: PageSpan | None = Field(description="On which the whole chunk stands.")
    section: list[str] = Field(description="The headings it stands under, outermost first.")
    score: float = Field(description="Higher is better; comparable within one answer only.")
    snippet: str = Field(description="The best part of the text as HTML, the words of the query in `<mark>`.")
    url: str = Field(description="The original, opened at the page.")
    more: int = Field(default=0, description="Further hits of the document, where `one_per_document` was asked for.")
    parts: Parts | None = Field(default=None, description="Of which the score is the sum, with `explain`.")


class Answer(BaseModel):
    """What was found."""

    query: str
    hits: list[Hit]
    next_offset: int | None = Field(
        description="The `offset` of the next page. Null: there are no more, since pages end with the best that words "
        "and vectors found, at most 200."
    )
    incomplete: bool = Field(description="Documents were changing so fast that some hits may be missing.")
    rounds: int = Field(description="How often the index was asked.")
    dropped: int = Field(description="Hits left out because they were of a replaced or deleted generation.")


class Alive(BaseModel):
    """The process answers."""

    status: str


class Ready(BaseModel):
    """Each dependency, by name."""

    status: str
    dependencies: dict[str, Dependency]


class Pong(BaseModel):
    """A no-op went through the queue to a worker and back."""

    lane: Lane
    milliseconds: float
