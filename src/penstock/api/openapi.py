"""Told: what the OpenAPI document says of an operation's answers, with examples, its problems among them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel

from penstock.api.problems import MEDIA_TYPE, Problem, internal_error, invalid_request, problem_of
from penstock.domain.errors import PenstockError, Transient, Unauthorized

Responses = dict[int | str, dict[str, Any]]

_INSTANCE = "urn:uuid:5f0c2c4e-0b7c-4a2a-9a5b-0b8f4f6f8a11"
_PROBLEM = {"$ref": "#/components/schemas/Problem"}


def answers(status: HTTPStatus, description: str, example: BaseModel, *errors: PenstockError) -> Responses:
    """One good answer, and the problems that the operation may answer instead, beside those of every call."""
    good = {
        "description": description,
        "content": {"application/json": {"example": example.model_dump(mode="json", exclude_none=False)}},
    }
    return {status.value: good, **problems(*errors, Unauthorized(), Transient(why="the table does not answer"))}


def problems(*errors: PenstockError) -> Responses:
    """The problem responses of these errors, those of one status together. Each call may also fail by our own fault."""
    told: dict[int, dict[str, Problem]] = {}
    for problem in (*map(problem_of, errors), internal_error()):
        told.setdefault(problem.status, {})[problem.code] = problem
    return {status: _response(status, by_code) for status, by_code in told.items()}


def invalid(field: str, message: str, code: str) -> Responses:
    """The answer to parameters that are not as the schema says."""
    problem = invalid_request([{"loc": field.split("."), "msg": message, "type": code}])
    return {problem.status: _response(problem.status, {problem.code: problem})}


def together(*several: Responses) -> Responses:
    """All of them, the examples of one status side by side."""
    merged: Responses = {}
    for responses in several:
        for status, response in responses.items():
            known = merged.setdefault(status, response)
            if known is not response:
                examples = known["content"][MEDIA_TYPE]["examples"]
                merged[status] = _with_examples(known, examples | response["content"][MEDIA_TYPE]["examples"])
    return merged


def moment() -> datetime:
    """The time in the examples."""
    return datetime(2026, 3, 1, 9, 30, tzinfo=UTC)


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
