"""POST /v1/uploads: announce a file that is then sent to the bucket, past the size limits in front of the API."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter, Request, Response

from penstock.api.auth import CallerTenant
from penstock.api.dependencies import ServicesDep, SettingsDep
from penstock.api.models.uploads import Announced, Announcement
from penstock.api.openapi import EXAMPLE_TIME, merge_responses, responses, validation_error
from penstock.documents.announce import Announced as AnnouncedFile
from penstock.documents.announce import await_upload
from penstock.documents.file_names import accepted_type, clean_name
from penstock.domain.errors import TooLarge, TypeNotAccepted
from penstock.domain.ids import DocumentId
from penstock.domain.upload import LARGEST

router = APIRouter(prefix="/v1", tags=["documents"])


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
_EXAMPLE = Announced(
    upload_id="0a1b2c3d4e5f60718293a4b5c6d7e8f9",
    document_id="handbook",
    url="https://s3.eu-west-1.amazonaws.com/bucket",
    fields={
        "key": "uploads/acme/0a1b2c3d4e5f60718293a4b5c6d7e8f9/file",
        "Content-Type": "application/pdf",
        "policy": "eyJleHBpcmF0aW9uIjog…",
        "x-amz-signature": "…",
    },
    expires_at=EXAMPLE_TIME,
    task_id="upload-1772357400000-0a1b2c3d4e5f60718293a4b5c6d7e8f9",
    status_url="https://penstock.example/v1/tasks/upload-1772357400000-0a1b2c3d4e5f60718293a4b5c6d7e8f9",
)


@router.post(
    "/uploads",
    status_code=HTTPStatus.CREATED,
    summary="Announce an upload",
    responses=merge_responses(
        responses(
            HTTPStatus.CREATED,
            "Post a multipart form to `url` before `expires_at`: the `fields` unchanged, and the file after them. Then "
            "poll the task.",
            _EXAMPLE,
            TooLarge(limit=500_000_000),
            TypeNotAccepted(type="image/png", accepted="application/pdf, text/markdown, text/plain"),
        ),
        validation_error("body.size", "Input should be greater than or equal to 1", "greater_than_equal"),
    ),
    openapi_extra={"requestBody": {"content": {"application/json": {"example": _ANNOUNCEMENT}}}},
)
def announce_upload(
    *,
    announcement: Announcement,
    request: Request,
    response: Response,
    tenant: CallerTenant,
    services: ServicesDep,
    settings: SettingsDep,
) -> Announced:
    """Announce a large file, and get the address to send it to. S3 accepts only the size, the type and, if given, the
    SHA-256 hash that were announced. Processing starts when the file has arrived; no other call is needed."""
    largest = min(settings.max_file_bytes, LARGEST)
    if announcement.size > largest:
        raise TooLarge(limit=largest)
    name = clean_name(announcement.name)
    kind = accepted_type(name, announcement.content_type, settings.accepted_types)
    upload, form = await_upload(
        services,
        tenant,
        AnnouncedFile(name, announcement.size, kind, announcement.sha256),
        document=DocumentId(announcement.document_id) if announcement.document_id else None,
        source=announcement.source,
        lane=announcement.lane,
        metadata=announcement.metadata,
        seconds=settings.upload_seconds,
    )
    url = str(request.url_for("get_task", task=str(upload.task)))
    response.headers["Location"] = url
    response.headers["Cache-Control"] = "no-store"
    return Announced(
        upload_id=upload.id,
        document_id=upload.document,
        url=form.url,
        fields=dict(form.fields),
        expires_at=upload.post_until,
        task_id=str(upload.task),
        status_url=url,
    )
