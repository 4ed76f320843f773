"""POST /v1/documents: add files by HTTPS. The form is spooled to disk, and each of its files is received."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import ValidationError

from penstock.api.auth import CallerTenant
from penstock.api.dependencies import ServicesDep, SettingsDep
from penstock.api.models.add_documents import Accepted, Added, AddForm, Refused
from penstock.api.openapi import merge_responses, responses, validation_error
from penstock.api.problems import FieldError, headers_of, problem_of, problem_response
from penstock.api.spool import SpooledFile, SpooledForm, spooled_form
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

router = APIRouter(prefix="/v1", tags=["documents"])


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
                        "description": "One or more files, each in a part named `files`.",
                    },
                    "document_id": {
                        "type": "string",
                        "description": "The id that the document gets; allowed with one file only. If a document has "
                        "this id already, the new bytes become its newest generation.",
                    },
                    "source": {
                        "type": "string",
                        "default": "api",
                        "description": "Where the documents come from. Search and lists can filter by it.",
                    },
                    "lane": {
                        "type": "string",
                        "enum": [lane.value for lane in Lane],
                        "default": "standard",
                        "description": "The priority. Each lane has its own capacity, so a full lane does not delay "
                        "the others.",
                    },
                    "metadata": {
                        "type": "string",
                        "description": "A JSON object whose values are strings: at most 20 entries, and 1,500 bytes in "
                        "all.",
                    },
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
    responses=merge_responses(
        responses(
            HTTPStatus.ACCEPTED,
            "At least one file was accepted. Every accepted file is kept and reaches a final state with a reason. A "
            "file that was not accepted has its problem in the list instead.",
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
        validation_error("form.lane", "Input should be 'express', 'standard' or 'bulk'", "enum"),
    ),
    openapi_extra={"requestBody": _BODY},
)
async def add_documents(
    request: Request, tenant: CallerTenant, services: ServicesDep, settings: SettingsDep
) -> Response:
    """Upload files to make them searchable. The answer comes as soon as they are stored; then poll the `status_url` of
    each.

    Sending the same `document_id` again replaces the document once the new bytes are searchable. Without a
    `document_id`, the id is made from the source and the bytes, so that sending the same file again causes no work. If
    no file was accepted, the answer is the problem of the first file, with its status; if there were several files,
    `errors` lists the problem of each.
    """
    async with spooled_form(
        request, max_file_bytes=settings.max_file_bytes, max_direct_bytes=settings.max_direct_bytes
    ) as form:
        fields = _validated(form)
        outcomes = await run_in_threadpool(_receive_each, services, settings, tenant, form.files, fields)
    failed = [(file, outcome) for file, outcome in outcomes if isinstance(outcome, PenstockError)]
    if len(failed) == len(outcomes):
        return _all_failed(request, failed)
    added = Added(documents=[_outcome(request, file, outcome) for file, outcome in outcomes])
    accepted = [each.status_url for each in added.documents if isinstance(each, Accepted)]
    headers = {"Location": accepted[0]} if len(outcomes) == 1 else None
    return JSONResponse(added.model_dump(exclude_none=True), HTTPStatus.ACCEPTED, headers=headers)


Outcome = tuple[SpooledFile, Received | PenstockError]


def _validated(form: SpooledForm) -> AddForm:
    """
    Raises:
        RequestValidationError: a field is unknown or has a value that is not allowed.
        BadRequest: the form has no file, or one document id for several files.
    """
    if not form.files:
        raise BadRequest(why="The form has no file. Send each file in a part named 'files', with its file name.")
    try:
        fields = AddForm.model_validate(form.fields)
    except ValidationError as error:
        raise RequestValidationError([{**each, "loc": ("form", *each["loc"])} for each in error.errors()]) from None
    if fields.document_id is not None and len(form.files) > 1:
        raise BadRequest(why="A document_id is allowed with one file only, and the form has several.")
    return fields


def _receive_each(
    services: Services, settings: Settings, tenant: TenantId, files: list[SpooledFile], fields: AddForm
) -> list[Outcome]:
    """Receive each file. The error of one file does not stop the others."""
    outcomes: list[Outcome] = []
    for file in files:
        try:
            kind = accepted_type(file.name, file.declared, settings.accepted_types)
            received = receive_upload(
                services,
                tenant,
                Upload(file.content, file.name, file.size, file.sha256, kind),
                document=DocumentId(fields.document_id) if fields.document_id else None,
                source=fields.source,
                lane=fields.lane,
                metadata=fields.metadata,
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
            FieldError(field=f"files[{index}] {file.name}", message=str(error), code=error.code)
            for index, (file, error) in enumerate(failed)
        ]
        problem = problem.model_copy(update={"errors": each})
    return problem_response(problem, request.state.request_id, headers_of(errors[0]))
