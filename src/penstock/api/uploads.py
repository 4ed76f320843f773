"""Uploads: POST /v1/uploads, for files that are sent to the bucket itself, past every limit that stands before it."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from penstock.api import models
from penstock.api.auth import Caller
from penstock.api.dependencies import Configured, Given
from penstock.api.fields import Metadata, Source, WellFormed
from penstock.api.openapi import answers, invalid, moment, together
from penstock.documents.announce import Announced, await_upload
from penstock.documents.file_names import accepted_type, clean_name
from penstock.domain.errors import TooLarge, TypeNotAccepted
from penstock.domain.ids import DocumentId
from penstock.domain.task import Lane
from penstock.domain.upload import LARGEST

router = APIRouter(tags=["documents"])


class Announcement(BaseModel):
    """What is known of a file before it is sent."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=1024, description="The file's name.")]
    size: Annotated[int, Field(ge=1, description="In bytes; S3 takes exactly as many.")]
    content_type: Annotated[str | None, Field(max_length=255, description="Else the name says it.")] = None
    sha256: Annotated[
        str | None,
        Field(
            pattern=r"^[0-9a-f]{64}$",
            description="In hexadecimal. S3 then takes no other bytes, and the document's id is the one that the same "
            "bytes have by POST /v1/documents.",
        ),
    ] = None
    document_id: Annotated[
        WellFormed | None, Field(description="An id that is there already gets these bytes as its newest.")
    ] = None
    source: Source = "api"
    lane: Annotated[Lane, Field(description="Its priority: lanes are separate capacity.")] = Lane.STANDARD
    metadata: Annotated[Metadata, Field(description="Strings: up to 20, 1,500 bytes in all.")] = Field(
        default_factory=dict
    )


_ANNOUNCEMENT = {
    "name": "handbook.pdf",
    "size": 482_113_000,
    "content_type": "application/pdf",
    "sha256": "9f2c1f0f6f0a4a0d8f1f7a3f6b8f2b3d4c5e6f708192a3b4c5d6e7f8091a2b3c",
    "document_id": "handbook",
    "source": "intranet",
    "lane": "bulk",
    "metadata": {"team": "support"},
}
_EXAMPLE = models.Announced(
    upload_id="0a1b2c3d4e5f60718293a4b5c6d7e8f9",
    document_id="handbook",
    url="https://s3.eu-west-1.amazonaws.com/bucket",
    fields={
        "key": "uploads/acme/0a1b2c3d4e5f60718293a4b5c6d7e8f9/file",
        "Content-Type": "application/pdf",
        "policy": "eyJleHBpcmF0aW9uIjog…",
        "x-amz-signature": "…",
    },
    expires_at=moment(),
    task_id="upload-1772357400000-0a1b2c3d4e5f60718293a4b5c6d7e8f9",
    status_url="https://penstock.example/v1/tasks/upload-1772357400000-0a1b2c3d4e5f60718293a4b5c6d7e8f9",
)


@router.post(
    "/uploads",
    status_code=HTTPStatus.CREATED,
    summary="Announce an upload",
    responses=together(
        answers(
            HTTPStatus.CREATED,
            "Post a multipart form to `url`, with `fields` as they are and the file after them, before `expires_at`; "
            "then poll the task.",
            _EXAMPLE,
            TooLarge(limit=500_000_000),
            TypeNotAccepted(type="image/png", accepted="application/pdf, text/markdown, text/plain"),
        ),
        invalid("body.size", "Input should be greater than or equal to 1", "greater_than_equal"),
    ),
    openapi_extra={"requestBody": {"content": {"application/json": {"example": _ANNOUNCEMENT}}}},
)
def announce_upload(
    *,
    announcement: Announcement,
    request: Request,
    response: Response,
    tenant: Caller,
    services: Given,
    settings: Configured,
) -> models.Announced:
    """Ask for a place to send a large file to. S3 takes exactly the size, type and, where it is given, sha256 that
    were announced. The document begins when the file is there: no other call has to be made."""
    largest = min(settings.max_file_bytes, LARGEST)
    if announcement.size > largest:
        raise TooLarge(limit=largest)
    name = clean_name(announcement.name)
    kind = accepted_type(name, announcement.content_type, settings.accepted_types)
    upload, form = await_upload(
        services,
        tenant,
        Announced(name, announcement.size, kind, announcement.sha256),
        document=DocumentId(announcement.document_id) if announcement.document_id else None,
        source=announcement.source,
        lane=announcement.lane,
        metadata=announcement.metadata,
        seconds=settings.upload_seconds,
    )
    url = str(request.url_for("get_task", task=str(upload.task)))
    response.headers["Location"] = url
    response.headers["Cache-Control"] = "no-store"
    return models.Announced(
        upload_id=upload.id,
        document_id=upload.document,
        url=form.url,
        fields=dict(form.fields),
        expires_at=upload.post_until,
        task_id=str(upload.task),
        status_url=url,
    )
