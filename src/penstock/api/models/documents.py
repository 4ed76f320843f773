"""Models of /v1/documents: documents in lists and in detail, links to originals, and tasks that were started."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from pydantic import BaseModel, Field

from penstock.api.models.receipt import Failure, Progress, Receipt
from penstock.documents.progress import Progress as ProgressView
from penstock.domain.document import Document
from penstock.domain.status import Status
from penstock.domain.task import Lane


class Active(BaseModel):
    """What readers find now. While a newer generation is processed, and after it failed, this is the one before it."""

    generation: int = Field(description="The generation of the document that is searchable.")
    build: int = Field(description="The number of the build, which is one cutting of the generation into chunks.")
    name: str = Field(description="The file's name in this generation.")
    chunks: int = Field(description="The number of chunks that are searchable.")

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
    name: str = Field(description="The file's name.")
    status: Status
    searchable: bool = Field(description="Whether readers find the document now.")
    generation: int = Field(description="The number of the newest version of the bytes. It grows with each version.")
    source: str = Field(description="The source that was given when the document was added.")
    lane: Lane
    size: int = Field(description="The size of the file, in bytes.")
    accepted_at: datetime = Field(description="When the newest bytes were accepted.")
    chunks: int | None = Field(description="The number of chunks of the newest generation. Null until it is published.")
    container: str | None = Field(
        default=None, description="The id of the archive that contained the file, if there was one."
    )
    error: Failure | None = Field(
        description="Why the newest generation failed. While the work continues: the error of its last try."
    )

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
    """One page of a list of documents, newest first."""

    documents: list[DocumentSummary]
    next: str | None = Field(description="The cursor of the next page. Null if there is none.")


class DocumentDetail(BaseModel):
    """A document: its newest generation, and what readers find of it."""

    document_id: str
    name: str = Field(description="The file's name.")
    status: Status
    generation: int = Field(description="The number of the newest version of the bytes. It grows with each version.")
    source: str = Field(description="The source that was given when the document was added.")
    lane: Lane
    metadata: dict[str, str] = Field(description="The metadata that was given when the document was added.")
    container: str | None = Field(
        default=None, description="The id of the archive that contained the file, if there was one."
    )
    size: int = Field(description="The size of the file, in bytes.")
    sha256: str | None = Field(description="The SHA-256 hash of the file. Null until it has been computed.")
    content_type: str | None = Field(description="The media type of the file.")
    accepted_at: datetime = Field(description="When the newest bytes were accepted.")
    progress: Progress
    chunks: int = Field(description="The number of chunks of the newest generation that have been indexed so far.")
    receipt: Receipt | None = Field(description="The receipt of the newest generation. Null until it is published.")
    error: Failure | None = Field(
        description="Why the newest generation failed. While the work continues: the error of its last try."
    )
    history: list[Failure] = Field(description="The errors of the last few earlier attempts on the same bytes.")
    active: Active | None = Field(description="What readers find now. Null if nothing of the document is searchable.")
    task_id: str = Field(description="The task that makes the newest generation searchable.")

    @classmethod
    def of(cls, document: Document, progress: ProgressView, task_id: str) -> Self:
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
            progress=Progress.of(progress),
            chunks=progress.chunks,
            receipt=Receipt.of(document.receipt),
            error=Failure.of(document.failure),
            history=[each for each in map(Failure.of, document.history) if each is not None],
            active=Active.of(document),
            task_id=task_id,
        )


class Link(BaseModel):
    """A short-lived address of an original file. Whoever has it can read the file."""

    url: str
    expires_at: datetime = Field(description="The time after which the address no longer works.")


class TaskStarted(BaseModel):
    """A task that was started, and where to poll it."""

    task_id: str
    status_url: str = Field(description="The address at which to poll the task.")
