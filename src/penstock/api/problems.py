"""Problems: every error leaves the API as application/problem+json (RFC 9457), and one table gives its status."""

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
RETRY_AFTER = 5.0  # seconds, where the service that did not answer said nothing

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
        # The caller did nothing wrong, and an operator can mend it.
        EmbedderChanged: HTTPStatus.SERVICE_UNAVAILABLE,
        Misconfigured: HTTPStatus.SERVICE_UNAVAILABLE,
        PenstockError: HTTPStatus.INTERNAL_SERVER_ERROR,
    }
)
"""By class; a subclass has the status of the nearest class above it."""


class FieldError(BaseModel):
    """What is wrong with one part of a request."""

    field: str = Field(description="Where it stands: query.k, form.lane, files[2] …", examples=["query.k"])
    message: str = Field(examples=["Input should be less than or equal to 50"])
    code: str = Field(description="What kind of mistake it is.", examples=["less_than_equal"])


class Dependency(BaseModel):
    """Whether one thing that the API needs answers."""

    ok: bool
    code: str | None = None
    problem: str | None = Field(default=None, description="What is wrong, where something is.")


class Problem(BaseModel):
    """An error, by RFC 9457. `code` is stable and for programs; `title` and `detail` are for people."""

    model_config = ConfigDict(json_schema_extra={"required": ["type", "title", "status", "detail", "code"]})

    type: str = Field(examples=["urn:penstock:problem:not_found"])
    title: str = Field(examples=["Not found"])
    status: int = Field(examples=[404])
    detail: str
    code: str = Field(examples=["not_found"])
    instance: str | None = Field(
        default=None, description="This one occurrence. The log has it, and `X-Request-Id` is its second half."
    )
    errors: list[FieldError] | None = Field(default=None, description="Each part of the request that is wrong.")
    dependencies: dict[str, Dependency] | None = Field(default=None, description="Of /readyz alone.")


def status_of(kind: type[PenstockError]) -> HTTPStatus:
    return next(STATUS[base] for base in kind.__mro__ if base in STATUS)


def problem_of(error: PenstockError) -> Problem:
    """A bug's message is not for callers: it says what is inside."""
    status = status_of(type(error))
    if status is HTTPStatus.INTERNAL_SERVER_ERROR:
        return internal_error()
    return _problem(status, error.code, str(error))


def internal_error() -> Problem:
    return _problem(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        PenstockError.code,
        "Something went wrong here, not in the request. The log has it under this instance's id.",
    )


def answer(problem: Problem, request_id: str | None = None, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The response that carries this problem."""
    if request_id is not None:
        problem = problem.model_copy(update={"instance": f"urn:uuid:{request_id}"})
    return JSONResponse(
        problem.model_dump(exclude_none=True), problem.status, headers=dict(headers or {}), media_type=MEDIA_TYPE
    )


def headers_of(error: PenstockError) -> dict[str, str]:
    """What a status promises beside the body: when to come again, or how to say who one is."""
    status = status_of(type(error))
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        told = error.retry_after if isinstance(error, Transient) else None
        return {"Retry-After": str(math.ceil(told if told is not None else RETRY_AFTER))}
    return {"WWW-Authenticate": 'Bearer realm="penstock"'} if status is HTTPStatus.UNAUTHORIZED else {}


def answer_errors(app: FastAPI) -> None:
    """Have every error of the app answered as a problem, those of the framework too."""

    @app.exception_handler(PenstockError)
    async def of_penstock(request: Request, error: PenstockError) -> JSONResponse:
        request.state.error = error
        return answer(problem_of(error), request.state.request_id, headers_of(error))

    @app.exception_handler(RequestValidationError)
    async def of_validation(request: Request, error: RequestValidationError) -> JSONResponse:
        return answer(invalid_request(error.errors()), request.state.request_id)

    @app.exception_handler(HTTPException)
    async def of_framework(request: Request, error: HTTPException) -> JSONResponse:
        status = HTTPStatus(error.status_code)
        detail = {
            HTTPStatus.NOT_FOUND: f"There is nothing at {request.url.path}. /openapi.json lists all that is here.",
            HTTPStatus.METHOD_NOT_ALLOWED: f"{request.method} is not possible at {request.url.path}.",
        }.get(status, error.detail)
        headers = dict(error.headers or {})
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            headers["Allow"] = ", ".join(sorted(_methods_at(request)))
        code = status.phrase.lower().replace(" ", "_").replace("-", "_")
        return answer(_problem(status, code, detail), request.state.request_id, headers)


def _methods_at(request: Request) -> set[str]:
    """All that the path of this request takes; Starlette names those of one route only."""

    def taken(method: str) -> bool:
        scope = {**request.scope, "method": method}
        return any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)

    return {method for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE") if taken(method)}


def invalid_request(errors: Sequence[Mapping[str, object]]) -> Problem:
    """From what pydantic says of each field; the values themselves are not repeated."""
    fields = [
        FieldError(field=_place(each["loc"]), message=str(each["msg"]), code=str(each["type"])) for each in errors
    ]
    detail = "; ".join(f"{each.field}: {each.message}" for each in fields)
    problem = _problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_request", detail)
    return problem.model_copy(update={"errors": fields})


def _place(location: object) -> str:
    return ".".join(str(part) for part in location) if isinstance(location, tuple | list) else str(location)


def _problem(status: HTTPStatus, code: str, detail: str) -> Problem:
    title = code.replace("_", " ").capitalize()
    return Problem(type=f"urn:penstock:problem:{code}", title=title, status=status, detail=detail, code=code)
