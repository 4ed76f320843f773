"""/v1/documents: list documents, look at one, get its original, delete it, cancel the work on it, or retry it."""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import JSONResponse

from penstock.api.auth import CallerTenant
from penstock.api.dependencies import ServicesDep, SettingsDep
from penstock.api.models.documents import (
    Active,
    DocumentDetail,
    DocumentList,
    DocumentSummary,
    Link,
    TaskStarted,
)
from penstock.api.models.receipt import Progress, Receipt
from penstock.api.openapi import EXAMPLE_TIME, merge_responses, responses, validation_error
from penstock.documents.cancel import request_cancel
from penstock.documents.listing import Cursor, list_documents
from penstock.documents.progress import progress, with_full_lists
from penstock.documents.remove import request_removal
from penstock.documents.retry import request_retry
from penstock.domain.document import Document, Original
from penstock.domain.errors import BadRequest, BeingDeleted, Deleted, NotFound, NothingToCancel, NothingToRetry
from penstock.domain.ids import DocumentId, TenantId, document_id
from penstock.domain.status import Status
from penstock.domain.task import Lane, Operation, TaskId
from penstock.services import Services

router = APIRouter(prefix="/v1", tags=["documents"])

MAX_PAGE = 100
"""The maximum number of documents on one page of a list."""

_DETAIL = DocumentDetail(
    document_id="handbook",
    name="handbook.pdf",
    status=Status.INDEXED,
    generation=1772357400000,
    source="intranet",
    lane=Lane.EXPRESS,
    metadata={"team": "support"},
    size=482_113,
    sha256="9f2c1f0f6f0a4a0d8f1f7a3f6b8f2b3d4c5e6f708192a3b4c5d6e7f8091a2b3c",
    content_type="application/pdf",
    accepted_at=EXAMPLE_TIME,
    progress=Progress(current=12, total=12, unit="pages"),
    chunks=31,
    receipt=Receipt(
        kind="pdf",
        engine="pypdfium2",
        paged=True,
        pages=12,
        pages_with_text=11,
        pages_without_text="12",
        pages_damaged="",
        chunks=31,
        vectors=31,
        embedded=31,
        refused="",
        warnings=(),
        explained=None,
        seconds=0.84,
    ),
    error=None,
    history=[],
    active=Active(generation=1772357400000, build=1, name="handbook.pdf", chunks=31),
    task_id="ingest-1772357400000-handbook",
)
_SUMMARY = DocumentSummary(
    document_id="handbook",
    name="handbook.pdf",
    status=Status.INDEXED,
    searchable=True,
    generation=1772357400000,
    source="intranet",
    lane=Lane.EXPRESS,
    size=482_113,
    accepted_at=EXAMPLE_TIME,
    chunks=31,
    error=None,
)
Id = Annotated[str, Path(description="The document's id.", examples=["handbook"])]
_BAD_CURSOR = "The cursor is not valid. Pass the `next` of an earlier page unchanged."
_NOT_FOUND = NotFound(what="document", id="handbook")
_INGEST = TaskStarted(
    task_id="ingest-1772357400000-handbook",
    status_url="https://penstock.example/v1/tasks/ingest-1772357400000-handbook",
)


@router.get(
    "/documents",
    summary="List documents",
    responses=merge_responses(
        responses(
            HTTPStatus.OK,
            "One page, newest first. While `next` is not null there are more documents, even if this page is short or "
            "empty.",
            DocumentList(documents=[_SUMMARY], next="MjAyNi0wMy0wMVQwOTozMDowMCswMDowMH5oYW5kYm9vaw"),
            BadRequest(why=_BAD_CURSOR),
        ),
        validation_error("query.limit", "Input should be less than or equal to 100", "less_than_equal"),
    ),
)
def get_documents(
    *,
    tenant: CallerTenant,
    services: ServicesDep,
    status: Annotated[
        list[Status] | None,
        Query(description="Only documents with this status. May be repeated.", examples=[["failed", "partial"]]),
    ] = None,
    source: Annotated[
        list[str] | None, Query(description="Only documents of this source. May be repeated.", examples=[["intranet"]])
    ] = None,
    container: Annotated[
        str | None, Query(description="Only the files of the archive with this document id.", examples=["papers"])
    ] = None,
    limit: Annotated[
        int, Query(ge=1, le=MAX_PAGE, description="The maximum number of documents on this page.", examples=[20])
    ] = 20,
    cursor: Annotated[
        str | None, Query(max_length=512, description="The `next` of the page before.", examples=[""])
    ] = None,
) -> DocumentList:
    """List the documents that were accepted, newest first. A document is in the list as soon as it is accepted."""
    page = list_documents(
        services,
        tenant,
        limit=limit,
        before=_decoded_cursor(cursor) if cursor else None,
        statuses=frozenset(status or ()),
        sources=frozenset(source or ()),
        container=document_id(container) if container else None,
    )
    return DocumentList(
        documents=[DocumentSummary.of(document) for document in page.documents],
        next=_encoded_cursor(page.next) if page.next else None,
    )


@router.get(
    "/documents/{document}",
    summary="Look at a document",
    responses=responses(HTTPStatus.OK, "The document.", _DETAIL, _NOT_FOUND),
)
def get_document(document: Id, tenant: CallerTenant, services: ServicesDep) -> DocumentDetail:
    """Get the status of a document, its progress, its receipt or its error, and what readers find of it now."""
    record = with_full_lists(services, _read(services, tenant, document))
    task = TaskId(Operation.INGEST, record.generation, record.id)
    return DocumentDetail.of(record, progress(services, record), str(task))


@router.get(
    "/documents/{document}/file",
    name="original",
    status_code=HTTPStatus.TEMPORARY_REDIRECT,
    summary="Get the original file",
    response_model=Link,
    responses=merge_responses(
        responses(
            HTTPStatus.TEMPORARY_REDIRECT,
            "The address of the file, in `Location` and in the body. It works for some minutes, for anyone who has it.",
            Link(url="https://bucket.example/files/acme/handbook?X-Amz-Signature=…", expires_at=EXAMPLE_TIME),
            _NOT_FOUND,
        ),
        validation_error("query.generation", "Input should be greater than or equal to 1", "greater_than_equal"),
    ),
)
def get_file(
    document: Id,
    tenant: CallerTenant,
    services: ServicesDep,
    settings: SettingsDep,
    generation: Annotated[
        int | None,
        Query(
            ge=1,
            description="The generation whose file is wanted. It must be the active or the newest one.",
            examples=[1772357400000],
        ),
    ] = None,
) -> Response:
    """Get a short-lived link to the file that readers find now; if none is searchable yet, to the newest one."""
    record = _read(services, tenant, document)
    original = _original(record, generation)
    if record.status is Status.DELETING or original is None:
        raise NotFound(what="file of document", id=document)
    expires = services.clock() + timedelta(seconds=settings.link_seconds)
    url = services.objects.link(
        tenant, original.key, original.version, name=original.name, seconds=settings.link_seconds
    )
    return JSONResponse(
        Link(url=url, expires_at=expires).model_dump(mode="json"),
        HTTPStatus.TEMPORARY_REDIRECT,
        headers={"Location": url, "Cache-Control": "no-store"},
    )


@router.delete(
    "/documents/{document}",
    status_code=HTTPStatus.ACCEPTED,
    summary="Delete a document",
    responses=responses(
        HTTPStatus.ACCEPTED,
        "Search no longer finds the document. The task succeeds when nothing of it is left.",
        TaskStarted(
            task_id="delete-1772357400000-handbook",
            status_url="https://penstock.example/v1/tasks/delete-1772357400000-handbook",
        ),
        _NOT_FOUND,
    ),
)
def delete_document(
    document: Id, request: Request, response: Response, tenant: CallerTenant, services: ServicesDep
) -> TaskStarted:
    """Delete a document. It is hidden from readers at once, then removed from the index, the bucket and the table."""
    return _started(request, response, request_removal(services, tenant, _known_id(document)))


@router.post(
    "/documents/{document}/retry",
    status_code=HTTPStatus.ACCEPTED,
    summary="Retry a document",
    responses=responses(
        HTTPStatus.ACCEPTED,
        "A new attempt has been started. The task follows it.",
        _INGEST,
        _NOT_FOUND,
        NothingToRetry(document="handbook", status=Status.INDEXED),
        BeingDeleted(document="handbook"),
        Deleted(document="handbook"),
    ),
)
def retry_document(
    document: Id, request: Request, response: Response, tenant: CallerTenant, services: ServicesDep
) -> TaskStarted:
    """Retry a document that failed or was cancelled, from the start. Its attempts are counted from zero, and texts that
    have a vector by now are not embedded again. If an attempt is in progress it continues, so a request that is sent
    twice has the same effect as one."""
    return _started(request, response, request_retry(services, tenant, _known_id(document)))


@router.post(
    "/documents/{document}/cancel",
    status_code=HTTPStatus.ACCEPTED,
    summary="Cancel a document",
    responses=responses(
        HTTPStatus.ACCEPTED,
        "The work stops: at once, or at the next checkpoint of the worker that has it. Then the task is REVOKED.",
        _INGEST,
        _NOT_FOUND,
        NothingToCancel(document="handbook", status=Status.INDEXED),
        BeingDeleted(document="handbook"),
        Deleted(document="handbook"),
    ),
)
def cancel_document(
    document: Id, request: Request, response: Response, tenant: CallerTenant, services: ServicesDep
) -> TaskStarted:
    """Stop the work on the newest bytes of a document, and with it the cost. What the work has written is removed. What
    readers found before stays searchable. The bytes are kept, so that the document can be retried."""
    return _started(request, response, request_cancel(services, tenant, _known_id(document)))


def _started(request: Request, response: Response, task: TaskId) -> TaskStarted:
    url = str(request.url_for("get_task", task=str(task)))
    response.headers["Location"] = url
    return TaskStarted(task_id=str(task), status_url=url)


def _read(services: Services, tenant: TenantId, text: str) -> Document:
    """
    Raises:
        NotFound: the document does not exist, is deleted, or belongs to another tenant. The caller cannot tell which.
    """
    record = services.documents.read(tenant, _known_id(text))
    if record is None or record.status is Status.DELETED:
        raise NotFound(what="document", id=text)
    return record


def _known_id(text: str) -> DocumentId:
    try:
        return document_id(text)
    except BadRequest:
        raise NotFound(what="document", id=text) from None


def _original(record: Document, generation: int | None) -> Original | None:
    active = record.active
    if active is not None and generation in {None, active.build_id.generation}:
        return active.original
    return record.original if generation in {None, record.generation} else None


def _encoded_cursor(place: Cursor) -> str:
    accepted, document = place
    return base64.urlsafe_b64encode(f"{accepted.isoformat()}~{document}".encode()).decode().rstrip("=")


def _decoded_cursor(cursor: str) -> Cursor:
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        accepted, document = text.split("~", 1)
        return datetime.fromisoformat(accepted).astimezone(UTC), document_id(document)
    except (ValueError, binascii.Error, BadRequest):
        raise BadRequest(why=_BAD_CURSOR) from None
