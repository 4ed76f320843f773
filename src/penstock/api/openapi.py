"""The responses of an operation as the OpenAPI document describes them, with examples, its problems included."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel

from penstock.api.problems import MEDIA_TYPE, Problem, internal_error, invalid_request, problem_of
from penstock.domain.errors import PenstockError, Transient, Unauthorized

Responses = dict[int | str, dict[str, Any]]

EXAMPLE_TIME = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
_INSTANCE = "urn:uuid:5f0c2c4e-0b7c-4a2a-9a5b-0b8f4f6f8a11"
_PROBLEM = {"$ref": "#/components/schemas/Problem"}


def responses(status: HTTPStatus, description: str, example: BaseModel, *errors: PenstockError) -> Responses:
    """The response of a success, and the problems with which an operation that needs a key may answer instead."""
    return {
        **success(status, description, example),
        **problem_responses(*errors, Unauthorized(), Transient(why="the table does not answer")),
    }


def success(status: HTTPStatus, description: str, example: BaseModel) -> Responses:
    content = {"application/json": {"example": example.model_dump(mode="json", exclude_none=False)}}
    return {status.value: {"description": description, "content": content}}


def problem_responses(*errors: PenstockError) -> Responses:
    """The problem responses of these errors, grouped by status. A 500 is always among them: any call can meet a bug."""
    by_status: dict[int, dict[str, Problem]] = {}
    for problem in (*map(problem_of, errors), internal_error()):
        by_status.setdefault(problem.status, {})[problem.code] = problem
    return {status: _response(status, by_code) for status, by_code in by_status.items()}


def validation_error(field: str, message: str, code: str) -> Responses:
    """The response to a request whose fields do not match the schema."""
    problem = invalid_request([{"loc": field.split("."), "msg": message, "type": code}])
    return {problem.status: _response(problem.status, {problem.code: problem})}


def merge_responses(*several: Responses) -> Responses:
    """All of these responses; the examples of the same status stand side by side."""
    merged: Responses = {}
    for each in several:
        for status, response in each.items():
            known = merged.setdefault(status, response)
            if known is not response:
                examples = known["content"][MEDIA_TYPE]["examples"]
                merged[status] = _with_examples(known, examples | response["content"][MEDIA_TYPE]["examples"])
    return merged


def _response(status: int, by_code: Mapping[str, Problem]) -> dict[str, Any]:
    examples = {
        code: {
            "summary": problem.title,
            "value": problem.model_copy(update={"instance": _INSTANCE}).model_dump(mode="json", exclude_none=True),
        }
        for code, problem in by_code.items()
    }
    return _with_examples(
        {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": _PROBLEM}}}, examples
    )


def _with_examples(response: dict[str, Any], examples: dict[str, Any]) -> dict[str, Any]:
    content = {**response["content"][MEDIA_TYPE], "examples": examples}
    return {**response, "content": {MEDIA_TYPE: content}}
