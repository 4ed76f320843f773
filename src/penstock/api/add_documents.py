"""Adding: POST /v1/documents, the HTTPS door. A form is spooled, and each of its files received."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, Json, ValidationError

from penstock.api.auth import Caller
from penstock.api.dependencies import Configured, Given
from penstock.api.fields import Metadata, Source, WellFormed
from penstock.api.models import Accepted, Added, Refused
from penstock.api.openapi import answers, invalid, together
from penstock.api.problems import FieldError, answer, headers_of, problem_of
from penstock.api.spool import Form, SpooledFile, spooled
from penstock.documents.file_names import accepted_type
from penstock.documents.receive import Received, Upload, receive_upload
from penstock.domain.errors import (
    BadRequest,
    BeingDeleted,
    EmptyFile,
    PenstockError,
    RequestTooLarge,
    SendByUpload,
    TooLarge,
    TypeNotAccepted,
    UploadStalled,
)
from penstock.domain.ids import DocumentId, TenantId
from penstock.domain.task import Lane
from penstock.services import Services
from penstock.settings import Settings

router = APIRouter(tags=["documents"])


class AddForm(BaseModel):
    """The fields beside the files."""

    model_config = ConfigDict(extra="forbid")

    document_id: Annotated[
        WellFormed | None,
        Field(description="Only with one file; an id that is there already gets these bytes as its newest."),
    ] = None
    source: Source = "api"
    lane: Annotated[Lane, Field(description="Its priority: lanes are separate capacity.")] = Lane.STANDARD
    metadata: Annotated[
        Json[Metadata], Field(description="A JSON object of strings: up to 20, 1,500 bytes in all.")
    ] = Field(default_factory=dict)


_EXAMPLE = Added(
    documents=[
        Accepted(
            name="handbook.pdf",
            document_id="handbook",
            task_id="ingest-1772357400000-handbook",
            status_url="https://penstock.example/v1/tasks/ingest-1772357400000-handbook",
            already_here=False,
        )
    ]
)

_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["files"],
                "properties": {
                    "files": {
                        "type": "array",
                        "items": {"type": "string", "format": "binary"},
                        "minItems": 1,
                        "description": "One file or many.",
                    },
                    "document_id": {"type": "string", "description": "The caller's own id; only with one file."},
                    "source": {"type": "string", "default": "api"},
                    "lane": {"type": "string", "enum": [lane.value for lane in Lane], "default": "standard"},
                    "metadata": {"type": "string", "description": "A JSON object of at most 20 strings."},
                },
            },
            "example": {
                "files": ["handbook.pdf"],
                "document_id": "handbook",
                "source": "intranet",
                "lane": "express",
                "metadata": '{"team": "support"}',
            },
        }
    },
}


@router.post(
    "/documents",
    status_code=HTTPStatus.ACCEPTED,
    summary="Add documents",
    response_model=Added,
    responses=together(
        answers(
            HTTPStatus.ACCEPTED,
            "At least one file was accepted, and is kept: each comes to an end with a reason. One that was not has its "
            "problem in its place.",
            _EXAMPLE,
            BadRequest(why="The multipart body ends before its last boundary: the upload was cut short."),
            BeingDeleted(document="handbook"),
            TooLarge(limit=500_000_000),
            RequestTooLarge(limit=500_000_000),
            SendByUpload(limit=4_500_000),
            TypeNotAccepted(type="image/png", accepted="application/pdf, text/markdown, text/plain"),
            EmptyFile(),
            UploadStalled(seconds=60),
        ),
        invalid("form.lane", "Input should be 'express', 'standard' or 'bulk'", "enum"),
    ),
    openapi_extra={"requestBody": _BODY},
)
async def add_documents(request: Request, tenant: Caller, services: Given, settings: Configured) -> Response:
    """Upload files to be made searchable. The answer comes as soon as they are kept; poll each one's `status_url`.

    The same `document_id` again replaces the document once the new bytes are searchable; without one, the id is made
    of the source and the bytes, so that the same file again is no work. Where no file was accepted, the answer is the
    problem of the first, with its own status; of several, `errors` lists each one's.
    """
    async with spooled(request, largest=settings.max_file_bytes, direct=settings.max_direct_bytes) as form:
        asked = _asked(form)
        outcomes = await run_in_threadpool(_receive_each, services, settings, tenant, form.files, asked)
    failed = [(file, outcome) for file, outcome in outcomes if isinstance(outcome, PenstockError)]
    if len(failed) == len(outcomes):
        return _all_failed(request, failed)
    added = Added(documents=[_outcome(request, file, outcome) for file, outcome in outcomes])
    taken = [each.status_url for each in added.documents if isinstance(each, Accepted)]
    headers = {"Location": taken[0]} if len(outcomes) == 1 else None
    return JSONResponse(added.model_dump(exclude_none=True), HTTPStatus.ACCEPTED, headers=headers)


Outcome = tuple[SpooledFile, Received | PenstockError]


def _asked(form: Form) -> AddForm:
    """
    Raises:
        RequestValidationError: a field is unknown or not as it should be.
        BadRequest: no file, or one id for several.
    """
    if not form.files:
        raise BadRequest(why="There is no file: send each in a part named 'files', with its file name.")
    try:
        asked = AddForm.model_validate(form.fields)
    except ValidationError as error:
        raise RequestValidationError([{**each, "loc": ("form", *each["loc"])} for each in error.errors()]) from None
    if asked.document_id is not None and len(form.files) > 1:
        raise BadRequest(why="A document_id goes with one file; there are several.")
    return asked


def _receive_each(
    services: Services, settings: Settings, tenant: TenantId, files: list[SpooledFile], asked: AddForm
) -> list[Outcome]:
    """One file's error is its own: the others are received all the same."""
    outcomes: list[Outcome] = []
    for file in files:
        try:
            kind = accepted_type(file.name, file.declared, settings.accepted_types)
            received = receive_upload(
                services,
                tenant,
                Upload(file.content, file.name, file.size, file.sha256, kind),
                document=DocumentId(asked.document_id) if asked.document_id else None,
                source=asked.source,
                lane=asked.lane,
                metadata=asked.metadata,
            )
        except PenstockError as error:
            outcomes.append((file, error))
        else:
            outcomes.append((file, received))
    return outcomes


def _outcome(request: Request, file: SpooledFile, outcome: Received | PenstockError) -> Accepted | Refused:
    if isinstance(outcome, PenstockError):
        return Refused(name=file.name, problem=problem_of(outcome))
    task = str(outcome.task)
    return Accepted(
        name=outcome.document.original.name,
        document_id=outcome.document.id,
        task_id=task,
        status_url=str(request.url_for("get_task", task=task)),
        already_here=outcome.already_here,
    )


def _all_failed(request: Request, failed: list[tuple[SpooledFile, PenstockError]]) -> Response:
    errors = [error for _, error in failed]
    request.state.error = errors[0]
    problem = problem_of(errors[0])
    if len(failed) > 1:
        each = [
            FieldError(field=f"files[{place}] {file.name}", message=str(error), code=error.code)
            for place, (file, error) in enumerate(failed)
        ]
        problem = problem.model_copy(update={"errors": each})
    return answer(problem, request.state.request_id, headers_of(errors[0]))
