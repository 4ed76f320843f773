"""Problems: the API answers every error as application/problem+json (RFC 9457). One table gives the status of each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from types import MappingProxyType

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.routing import Match

from penstock.domain.errors import (
    BadRequest,
    BeingDeleted,
    Deleted,
    EmbedderChanged,
    Misconfigured,
    NotFound,
    NothingToCancel,
    NothingToRetry,
    NoWorkerAnswered,
    PenstockError,
    Permanent,
    TooLarge,
    Transient,
    TypeNotAccepted,
    Unauthorized,
    UploadStalled,
)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = 5.0
"""The `Retry-After` of a 503, in seconds, if the service that did not answer named no time."""

STATUS: Mapping[type[PenstockError], HTTPStatus] = MappingProxyType(
    {
        BadRequest: HTTPStatus.BAD_REQUEST,
        Unauthorized: HTTPStatus.UNAUTHORIZED,
        NotFound: HTTPStatus.NOT_FOUND,
        UploadStalled: HTTPStatus.REQUEST_TIMEOUT,
        BeingDeleted: HTTPStatus.CONFLICT,
        NothingToRetry: HTTPStatus.CONFLICT,
        NothingToCancel: HTTPStatus.CONFLICT,
        Deleted: HTTPStatus.GONE,
        TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        TypeNotAccepted: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        Permanent: HTTPStatus.UNPROCESSABLE_ENTITY,
        NoWorkerAnswered: HTTPStatus.GATEWAY_TIMEOUT,
        Transient: HTTPStatus.SERVICE_UNAVAILABLE,
        # The caller did nothing wrong, and an operator can repair it.
        EmbedderChanged: HTTPStatus.SERVICE_UNAVAILABLE,
        Misconfigured: HTTPStatus.SERVICE_UNAVAILABLE,
        PenstockError: HTTPStatus.INTERNAL_SERVER_ERROR,
    }
)
"""The HTTP status of each class of errors. A subclass has the status of the nearest class above it."""


class FieldError(BaseModel):
    """What is wrong with one field of a request."""

    field: str = Field(description="The field: `query.k`, `form.lane`, `files[2]` and so on.", examples=["query.k"])
    message: str = Field(description="The mistake in words.", examples=["Input should be less than or equal to 50"])
    code: str = Field(description="The kind of the mistake, for programs.", examples=["less_than_equal"])


class Dependency(BaseModel):
    """The state of one service that the API depends on."""

    ok: bool = Field(description="Whether the service answers.")
    code: str | None = Field(default=None, description="The stable name of the error, if there is one.")
    problem: str | None = Field(default=None, description="The error in words, if there is one.")


class Problem(BaseModel):
    """An error in the form of RFC 9457. `code` is stable and for programs; `title` and `detail` are for people."""

    model_config = ConfigDict(json_schema_extra={"required": ["type", "title", "status", "detail", "code"]})

    type: str = Field(examples=["urn:penstock:problem:not_found"])
    title: str = Field(examples=["Not found"])
    status: int = Field(examples=[404])
    detail: str
    code: str = Field(examples=["not_found"])
    instance: str | None = Field(
        default=None,
        description="The id of this occurrence, under which the server's log has it: `urn:uuid:` and the "
        "`X-Request-Id` of the answer.",
    )
    errors: list[FieldError] | None = Field(default=None, description="What is wrong with each field of the request.")
    dependencies: dict[str, Dependency] | None = Field(
        default=None, description="The state of each dependency, by name. Only GET /readyz has it."
    )


def status_of(kind: type[PenstockError]) -> HTTPStatus:
    return next(STATUS[base] for base in kind.__mro__ if base in STATUS)


def problem_of(error: PenstockError) -> Problem:
    """The problem that reports this error. The message of a bug is left out: it would show callers the internals."""
    status = status_of(type(error))
    if status is HTTPStatus.INTERNAL_SERVER_ERROR:
        return internal_error()
    return _problem(status, error.code, str(error))


def internal_error() -> Problem:
    return _problem(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        PenstockError.code,
        "The server failed because of a bug; the request is not at fault. The server's log has it under the id in "
        "`instance`.",
    )


def problem_response(
    problem: Problem, request_id: str | None = None, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """The response that carries this problem."""
    if request_id is not None:
        problem = problem.model_copy(update={"instance": f"urn:uuid:{request_id}"})
    return JSONResponse(
        problem.model_dump(exclude_none=True), problem.status, headers=dict(headers or {}), media_type=MEDIA_TYPE
    )


def headers_of(error: PenstockError) -> dict[str, str]:
    """The headers that belong to the status of this error: when to retry, or how to authenticate."""
    status = status_of(type(error))
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        seconds = error.retry_after if isinstance(error, Transient) else None
        return {"Retry-After": str(math.ceil(RETRY_AFTER if seconds is None else seconds))}
    return {"WWW-Authenticate": 'Bearer realm="penstock"'} if status is HTTPStatus.UNAUTHORIZED else {}


def install_error_handlers(app: FastAPI) -> None:
    """Make the app answer every error as a problem, the framework's own errors included."""

    @app.exception_handler(PenstockError)
    async def on_penstock_error(request: Request, error: PenstockError) -> JSONResponse:
        request.state.error = error
        return problem_response(problem_of(error), request.state.request_id, headers_of(error))

    @app.exception_handler(RequestValidationError)
    async def on_validation_error(request: Request, error: RequestValidationError) -> JSONResponse:
        return problem_response(invalid_request(error.errors()), request.state.request_id)

    @app.exception_handler(HTTPException)
    async def on_framework_error(request: Request, error: HTTPException) -> JSONResponse:
        status = HTTPStatus(error.status_code)
        detail = {
            HTTPStatus.NOT_FOUND: f"There is no resource at {request.url.path}. /openapi.json lists the routes.",
            HTTPStatus.METHOD_NOT_ALLOWED: f"{request.url.path} does not support {request.method}.",
        }.get(status, error.detail)
        headers = dict(error.headers or {})
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            headers["Allow"] = ", ".join(sorted(_methods_at(request)))
        code = status.phrase.lower().replace(" ", "_").replace("-", "_")
        return problem_response(_problem(status, code, detail), request.state.request_id, headers)


def _methods_at(request: Request) -> set[str]:
    """All methods that the path of this request supports. Starlette names those of one route only."""

    def supported(method: str) -> bool:
        scope = {**request.scope, "method": method}
        return any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)

    return {method for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE") if supported(method)}


def invalid_request(errors: Sequence[Mapping[str, object]]) -> Problem:
    """The problem made of pydantic's errors. It names the fields but does not repeat their values."""
    fields = [
        FieldError(field=_dotted(each["loc"]), message=str(each["msg"]), code=str(each["type"])) for each in errors
    ]
    detail = "; ".join(f"{each.field}: {each.message}" for each in fields)
    problem = _problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_request", detail)
    return problem.model_copy(update={"errors": fields})


def _dotted(location: object) -> str:
    return ".".join(str(part) for part in location) if isinstance(location, tuple | list) else str(location)


def _problem(status: HTTPStatus, code: str, detail: str) -> Problem:
    title = code.replace("_", " ").capitalize()
    return Problem(type=f"urn:penstock:problem:{code}", title=title, status=status, detail=detail, code=code)
