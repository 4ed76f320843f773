"""Follow: how far a document has come, and how a task stands. Both are read from the record; nothing else is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType

import orjson

from penstock.domain.build import Build
from penstock.domain.document import Document
from penstock.domain.errors import (
    AttemptsUsedUp,
    EmbedderChanged,
    EmptyFile,
    GivenUp,
    LimitHit,
    NotFound,
    OriginalMissing,
    PasswordRequired,
    UnsupportedType,
    UploadMissing,
)
from penstock.domain.ids import DocumentId, TenantId
from penstock.domain.receipt import Failure, Receipt, Removal
from penstock.domain.status import PUBLISHED, Status
from penstock.domain.task import Operation, TaskId, TaskState
from penstock.domain.upload import AwaitedUpload, UploadId
from penstock.services import Services

_GOING = frozenset({Status.DELETING, Status.DELETED})

_MENDED: Mapping[str, str] = MappingProxyType(
    {
        UnsupportedType.code: "Convert it to a kind that the error names.",
        PasswordRequired.code: "Save a copy without a password.",
        EmptyFile.code: "Check that the file has content.",
        LimitHit.code: "Split the file, or have an operator raise the limit that the error names.",
        OriginalMissing.code: "Find the file again: its stored original is gone.",
        GivenUp.code: "Mend what the logs of that time tell.",
        AttemptsUsedUp.code: "Mend what the error names, or wait until the service it names works again.",
        EmbedderChanged.code: "Have an operator configure the embedder that the index was built with.",
    }
)
"""The first step, by the failure's code; for others it is a sound copy of the file."""
_SOUND = frozenset({AttemptsUsedUp.code, EmbedderChanged.code, GivenUp.code, LimitHit.code})
"""Failures that are not the file's own."""

_ON_ITS_WAY = timedelta(minutes=15)
"""An upload that began in time may take so long after it, and its event as well."""
_ANNOUNCE_AGAIN = ("Announce it again with POST /v1/uploads, and send the file before `expires_at`.",)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the newest attempt is. A page counts half when it is read, and whole when the shards are indexed that it
    may be part of: so `current` never falls within an attempt, and reaches `total` only with the last vector."""

    current: int
    total: int | None
    """None while nobody knows how many there are."""
    unit: str
    """pages; parts, where the format has no pages; documents, for a removal."""
    chunks: int = 0
    """Indexed so far."""


@dataclass(frozen=True, slots=True)
class TaskView:
    """How a task stands, in Celery's words."""

    id: TaskId
    state: TaskState
    status: Status | None
    """Of its document; None while that is awaited."""
    progress: Progress
    receipt: Receipt | None = None
    """Of an ingest that succeeded."""
    failure: Failure | None = None
    """Why it failed; while it goes on, what its last try ran into."""
    reason: str | None = None
    """Why it was revoked: cancelled, deleted, or superseded by a newer generation. Of one that goes on: cancelling,
    from the moment that this was asked for until its work has stopped."""
    removal: Removal | None = None
    """Of a removal that succeeded: what it found, and is gone. None once its document lives again."""
    next_steps: tuple[str, ...] = ()
    """What to do about a failure."""
    upload: AwaitedUpload | None = None
    """Whose task this is, where it is an upload's."""

    @property
    def document(self) -> DocumentId:
        return self.upload.document if self.upload else DocumentId(self.id.document)

    @property
    def generation(self) -> int | None:
        """None while the file is awaited."""
        return self.upload.generation if self.upload else self.id.generation


def progress(services: Services, document: Document) -> Progress:
    """How far the newest attempt of this document is."""
    return _progress(document, _build_of(services, document))


def whole(services: Services, document: Document) -> Document:
    """The document with the lists of its receipt as long as they are, where the record has them cut.

    Raises:
        Transient: the bucket did not answer.
    """
    receipt = document.receipt
    if receipt is None or receipt.explained is None:
        return document
    try:
        with services.objects.get(document.tenant, receipt.explained) as blocks:
            lists: dict[str, str] = orjson.loads(b"".join(blocks))
    except OriginalMissing:
        return document  # somebody removed it from the bucket; what the record has is still true
    return replace(
        document,
        receipt=replace(
            receipt,
            pages_without_text=lists["pages_without_text"],
            pages_damaged=lists["pages_damaged"],
            refused=lists["refused"],
            explained=None,
        ),
    )


def task(services: Services, tenant: TenantId, id: TaskId) -> TaskView:  # noqa: A002 - its name everywhere
    """
    Raises:
        NotFound: no such task was given out, or its document is long gone.
    """
    if id.operation is Operation.UPLOAD:
        return _upload(services, tenant, id)
    document = services.documents.read(tenant, DocumentId(id.document))
    if document is None or id.generation > document.generation:
        raise NotFound(what="task", id=str(id))
    if id.operation is Operation.DELETE:
        return _removal(document, id, services.clock())
    if id.generation < document.generation or document.status in _GOING:
        return _overtaken(document, id)
    return _ingest(document, _build_of(services, document), id, services.clock())


def _upload(services: Services, tenant: TenantId, id: TaskId) -> TaskView:  # noqa: A002
    """Once the file has come, how its ingest stands. One that comes late is taken all the same: S3 accepted it."""
    upload, now = services.uploads.find(tenant, UploadId(id.document)), services.clock()
    if upload is None or upload.task != id or upload.expires_at <= now:
        raise NotFound(what="task", id=str(id))
    if upload.generation is not None:
        ingest = task(services, tenant, TaskId(Operation.INGEST, upload.generation, upload.document))
        return replace(ingest, id=id, upload=upload)
    view = TaskView(id, TaskState.PENDING, None, Progress(0, None, "pages"), upload=upload)
    if now < upload.post_until + _ON_ITS_WAY:
        return view
    missing = UploadMissing(until=upload.post_until.isoformat(timespec="seconds"))
    return replace(
        view, state=TaskState.FAILURE, failure=Failure(missing.code, str(missing)), next_steps=_ANNOUNCE_AGAIN
    )


def _ingest(document: Document, build: Build | None, id: TaskId, now: datetime) -> TaskView:  # noqa: A002
    come = _progress(document, build)
    view = TaskView(id, TaskState.SUCCESS, document.status, come, failure=document.failure)
    if document.status in PUBLISHED:
        return replace(view, receipt=document.receipt)
    if document.status is Status.CANCELLED:
        return replace(view, state=TaskState.REVOKED, reason="cancelled")
    if document.status is Status.FAILED:
        return replace(view, state=TaskState.FAILURE, next_steps=_next_steps(document))
    return _under_way(document, build, view, now)


def _under_way(document: Document, build: Build | None, view: TaskView, now: datetime) -> TaskView:
    if document.cancel:
        return replace(view, state=TaskState.STARTED, reason="cancelling")
    held = any(lease.is_alive(now) for lease in (document.lease, *(build.leases.values() if build else ())))
    if document.failure is not None and not held:
        return replace(view, state=TaskState.RETRY)
    if document.status is Status.QUEUED:
        return replace(view, state=TaskState.PENDING)
    return replace(view, state=TaskState.PROGRESS if view.progress.current else TaskState.STARTED)


def _overtaken(document: Document, id: TaskId) -> TaskView:  # noqa: A002
    """An ingest whose generation is no longer the newest, or whose document is going: it succeeded, or never will."""
    active = document.active
    if active is not None and active.build_id.generation == id.generation:
        return TaskView(id, TaskState.SUCCESS, document.status, _all_of(active.receipt), receipt=active.receipt)
    reason = "superseded" if id.generation < document.generation else "deleted"
    return TaskView(id, TaskState.REVOKED, document.status, Progress(0, None, "pages"), reason=reason)


def _removal(document: Document, id: TaskId, now: datetime) -> TaskView:  # noqa: A002
    going = id.generation == document.generation
    if going and document.status not in _GOING:
        raise NotFound(what="task", id=str(id))
    if going and document.status is Status.DELETING:
        state = TaskState.STARTED if document.lease.is_alive(now) else TaskState.PENDING
        if document.lease.attempts and state is TaskState.PENDING:
            state = TaskState.RETRY
        return TaskView(id, state, document.status, Progress(0, 1, "documents"), failure=document.failure)
    # A number is never used twice: where a later generation is, the removal of this one has come to its end.
    removal = document.removal if going else None
    return TaskView(id, TaskState.SUCCESS, document.status, Progress(1, 1, "documents"), removal=removal)


def _progress(document: Document, build: Build | None) -> Progress:
    if document.status in PUBLISHED and document.receipt is not None:
        return _all_of(document.receipt)
    if build is None or document.status is Status.QUEUED:
        return Progress(document.pages_read // 2, document.pages or None, "pages")
    total = build.pages or (build.pages_read if build.total is not None else None)
    indexed = (total or 0) * len(build.done) // build.total if build.total else 0
    return Progress((build.pages_read + indexed) // 2, total, _unit(build.draft), build.chunks)


def _all_of(receipt: Receipt) -> Progress:
    return Progress(receipt.pages, receipt.pages, _unit(receipt), receipt.chunks)


def _unit(receipt: Receipt | None) -> str:
    return "pages" if receipt is None or receipt.paged else "parts"


def _build_of(services: Services, document: Document) -> Build | None:
    if document.status in PUBLISHED or document.status in _GOING or not document.build:
        return None
    return services.documents.read_build(document.tenant, document.id, document.build_id)


def _next_steps(document: Document) -> tuple[str, ...]:
    mended = _MENDED.get(document.failure.code if document.failure else "", "Open it in a viewer and save a new copy.")
    retry = (f"Then retry it: POST /v1/documents/{document.id}/retry, or `penstock retry {document.id}`.",)
    return (
        mended,
        *(retry if document.failure is not None and document.failure.code in _SOUND else ()),
        f"Send it as document_id {document.id!r}: it takes this one's place; the same bytes again are a new try.",
        "Or delete the document.",
    )
