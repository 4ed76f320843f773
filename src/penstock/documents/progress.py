"""Progress: how far a document is, and the status of a task. Both are derived from the record, not stored."""

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

_FIRST_STEPS: Mapping[str, str] = MappingProxyType(
    {
        UnsupportedType.code: "Convert it to a kind that the error names.",
        PasswordRequired.code: "Save a copy without a password.",
        EmptyFile.code: "Check that the file has content.",
        LimitHit.code: "Split the file, or have an operator raise the limit that the error names.",
        OriginalMissing.code: "Find the file again: its stored original is gone.",
        GivenUp.code: "Fix what the logs of that time report.",
        AttemptsUsedUp.code: "Fix what the error names, or wait until the service it names works again.",
        EmbedderChanged.code: "Have an operator configure the embedder that the index was built with.",
    }
)
"""What a caller should do first, by the code of the failure."""
_OTHER_FIRST_STEP = "Open it in a viewer and save a new copy."
_RETRY_HELPS = frozenset({AttemptsUsedUp.code, EmbedderChanged.code, GivenUp.code, LimitHit.code})
"""The codes of failures that the file did not cause: the same bytes may succeed after the first step."""

_LATEST_ARRIVAL = timedelta(minutes=15)
"""How long after its form expired an upload that started in time may still complete and be reported by S3."""
_ANNOUNCE_AGAIN = ("Announce it again with POST /v1/uploads, and send the file before `expires_at`.",)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the newest attempt is. A page counts half when it is read, and fully when the shards it may belong to are
    indexed. So `current` never decreases within an attempt, and reaches `total` only with the last vector."""

    current: int
    total: int | None
    """The number of units. It is None while that is unknown."""
    unit: str
    """What is counted: "pages"; "parts", if the format has no pages; "documents", for a removal."""
    chunks: int = 0
    """The number of chunks that are indexed so far."""


@dataclass(frozen=True, slots=True)
class TaskView:
    """The status of a task, in Celery's terms."""

    id: TaskId
    state: TaskState
    status: Status | None
    """The status of the document. It is None while the file is awaited."""
    progress: Progress
    receipt: Receipt | None = None
    """The receipt of an ingest that succeeded."""
    failure: Failure | None = None
    """The error with which the task failed. While the task goes on, it is the error of the last try."""
    reason: str | None = None
    """Why the task was revoked: "cancelled", "deleted", or "superseded" by a newer generation. It is "cancelling" from
    the moment that a cancel is requested until the work has stopped."""
    removal: Removal | None = None
    """What a removal that succeeded has found and removed. It is None once the document exists again."""
    next_steps: tuple[str, ...] = ()
    """What the caller can do about the failure."""
    upload: AwaitedUpload | None = None
    """The upload, if this is the task of one."""

    @property
    def document(self) -> DocumentId:
        return self.upload.document if self.upload else DocumentId(self.id.document)

    @property
    def generation(self) -> int | None:
        """The generation that the task works on. It is None while the file is awaited."""
        return self.upload.generation if self.upload else self.id.generation


def progress(services: Services, document: Document) -> Progress:
    """How far the newest attempt of this document is."""
    return _progress(document, _build_of(services, document))


def with_full_lists(services: Services, document: Document) -> Document:
    """The document with the complete lists of its receipt. Long lists are shortened in the record, and complete in the
    bucket.

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
        return document  # somebody removed the object from the bucket; the shortened lists are still true
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
    """The status of the task with this id.

    Raises:
        NotFound: no such task was given out, or its document was deleted so long ago that its tombstone is gone.
    """
    if id.operation is Operation.UPLOAD:
        return _upload(services, tenant, id)
    document = services.documents.read(tenant, DocumentId(id.document))
    if document is None or id.generation > document.generation:
        raise NotFound(what="task", id=str(id))
    if id.operation is Operation.DELETE:
        return _removal(document, id, services.clock())
    if id.generation < document.generation or document.hidden:
        return _outdated_ingest(document, id)
    return _ingest(document, _build_of(services, document), id, services.clock())


def _upload(services: Services, tenant: TenantId, id: TaskId) -> TaskView:  # noqa: A002
    """The status of an upload; once the file has come, of its ingest. A file that comes after a failure was reported is
    still received, because S3 accepted it."""
    upload, now = services.uploads.find(tenant, UploadId(id.document)), services.clock()
    if upload is None or upload.task != id or upload.expires_at <= now:
        raise NotFound(what="task", id=str(id))
    if upload.generation is not None:
        ingest = task(services, tenant, TaskId(Operation.INGEST, upload.generation, upload.document))
        return replace(ingest, id=id, upload=upload)
    view = TaskView(id, TaskState.PENDING, None, Progress(0, None, "pages"), upload=upload)
    if now < upload.post_until + _LATEST_ARRIVAL:
        return view
    missing = UploadMissing(until=upload.post_until.isoformat(timespec="seconds"))
    return replace(
        view, state=TaskState.FAILURE, failure=Failure(missing.code, str(missing)), next_steps=_ANNOUNCE_AGAIN
    )


def _ingest(document: Document, build: Build | None, id: TaskId, now: datetime) -> TaskView:  # noqa: A002
    view = TaskView(id, TaskState.SUCCESS, document.status, _progress(document, build), failure=document.failure)
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
    is_leased = any(lease.is_alive(now) for lease in (document.lease, *(build.leases.values() if build else ())))
    if document.failure is not None and not is_leased:
        return replace(view, state=TaskState.RETRY)
    if document.status is Status.QUEUED:
        return replace(view, state=TaskState.PENDING)
    return replace(view, state=TaskState.PROGRESS if view.progress.current else TaskState.STARTED)


def _outdated_ingest(document: Document, id: TaskId) -> TaskView:  # noqa: A002
    """An ingest whose generation is no longer the newest, or whose document is being or was deleted: if it has not
    succeeded, it never will."""
    active = document.active
    if active is not None and active.build_id.generation == id.generation:
        return TaskView(id, TaskState.SUCCESS, document.status, _complete(active.receipt), receipt=active.receipt)
    reason = "superseded" if id.generation < document.generation else "deleted"
    return TaskView(id, TaskState.REVOKED, document.status, Progress(0, None, "pages"), reason=reason)


def _removal(document: Document, id: TaskId, now: datetime) -> TaskView:  # noqa: A002
    is_newest = id.generation == document.generation
    if is_newest and not document.hidden:
        raise NotFound(what="task", id=str(id))
    if is_newest and document.status is Status.DELETING:
        state = TaskState.STARTED if document.lease.is_alive(now) else TaskState.PENDING
        if document.lease.attempts and state is TaskState.PENDING:
            state = TaskState.RETRY
        return TaskView(id, state, document.status, Progress(0, 1, "documents"), failure=document.failure)
    # A generation number is never used twice: a later generation exists only once the removal of this one is complete.
    removal = document.removal if is_newest else None
    return TaskView(id, TaskState.SUCCESS, document.status, Progress(1, 1, "documents"), removal=removal)


def _progress(document: Document, build: Build | None) -> Progress:
    if document.status in PUBLISHED and document.receipt is not None:
        return _complete(document.receipt)
    if build is None or document.status is Status.QUEUED:
        return Progress(document.pages_read // 2, document.pages or None, "pages")
    total = build.pages or (build.pages_read if build.total is not None else None)
    indexed = (total or 0) * len(build.done) // build.total if build.total else 0
    return Progress((build.pages_read + indexed) // 2, total, _unit(build.draft), build.chunks)


def _complete(receipt: Receipt) -> Progress:
    return Progress(receipt.pages, receipt.pages, _unit(receipt), receipt.chunks)


def _unit(receipt: Receipt | None) -> str:
    return "pages" if receipt is None or receipt.paged else "parts"


def _build_of(services: Services, document: Document) -> Build | None:
    if document.status in PUBLISHED or document.hidden or not document.build:
        return None
    return services.documents.read_build(document.tenant, document.id, document.build_id)


def _next_steps(document: Document) -> tuple[str, ...]:
    code = document.failure.code if document.failure else ""
    retry = (f"Then retry it: POST /v1/documents/{document.id}/retry, or `penstock retry {document.id}`.",)
    return (
        _FIRST_STEPS.get(code, _OTHER_FIRST_STEP),
        *(retry if code in _RETRY_HELPS else ()),
        f"Send it as document_id {document.id!r}: it replaces this document; the same bytes are tried again.",
        "Or delete the document.",
    )
