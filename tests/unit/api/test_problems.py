"""Every error is answered as a problem, and the OpenAPI document describes each of them."""

from __future__ import annotations

import asyncio
import inspect
import logging

import pytest

from penstock.api.admission import AdmissionControl
from penstock.api.problems import MEDIA_TYPE, problem_of, status_of
from penstock.domain import errors
from penstock.domain.errors import ForeignKey, IllegalTransition, PenstockError, Transient
from tests.support.api_door import Door, is_problem

ALL = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, PenstockError)]


@pytest.mark.parametrize("kind", ALL)
def test_every_error_has_a_status_and_a_code_of_its_own_words(kind):
    assert 400 <= status_of(kind) <= 504
    assert kind.code
    if kind not in {errors.TooLarge, errors.RequestTooLarge}:
        assert [other for other in ALL if other.code == kind.code] == [kind]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "not_found"),
        ("GET", "/v1/nothing", 404, "not_found"),
        ("GET", "/v1/documents/", 404, "not_found"),
        ("GET", "/v1/uploads", 405, "method_not_allowed"),
        ("GET", "/v1/tasks/upload-1-absent", 404, "not_found"),
        ("GET", "/v1/documents/..%2Fx", 404, "not_found"),
        ("GET", "/v1/documents/%20", 404, "not_found"),
        ("GET", "/v1/documents/absent", 404, "not_found"),
        ("GET", "/v1/documents/absent/file", 404, "not_found"),
        ("DELETE", "/v1/documents/absent", 404, "not_found"),
        ("GET", "/v1/tasks/nonsense", 404, "not_found"),
        ("GET", "/v1/tasks/ingest-1-absent", 404, "not_found"),
        ("PUT", "/v1/documents", 405, "method_not_allowed"),
        ("POST", "/v1/search", 405, "method_not_allowed"),
        ("PATCH", "/healthz", 405, "method_not_allowed"),
        ("GET", "/v1/documents?limit=0", 422, "invalid_request"),
        ("GET", "/v1/documents?limit=101", 422, "invalid_request"),
        ("GET", "/v1/documents?status=lost", 422, "invalid_request"),
        ("GET", "/v1/documents/x/file?generation=0", 422, "invalid_request"),
        ("POST", "/v1/health/task?lane=fast", 422, "invalid_request"),
        ("POST", "/v1/health/task?seconds=11", 422, "invalid_request"),
    ],
)
def test_whatever_is_wrong_with_a_request_is_said_as_a_problem(door, method, path, status, code):
    response = door.client().request(method, path)
    is_problem(response, status, code)
    if status == 405:
        assert response.headers["allow"]


READS = [
    ("GET", "/v1/documents"),
    ("GET", "/v1/documents/x"),
    ("GET", "/v1/documents/x/file"),
    ("DELETE", "/v1/documents/x"),
    ("GET", "/v1/tasks/ingest-1-x"),
    ("GET", "/v1/search?q=x"),
]


class Broken:
    """A table that raises on every call."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __getattr__(self, name: str):
        def call(*args, **kwargs):
            raise self.error

        return call


def broken(door: Door, error: Exception) -> Door:
    return door.broken(documents=Broken(error), index=Broken(error))


@pytest.mark.parametrize(("method", "path"), READS)
def test_a_service_that_does_not_answer_is_503_with_when_to_come_again(door, method, path):
    response = broken(door, Transient(why="the table is throttled")).client().request(method, path)
    is_problem(response, 503, "temporarily_unavailable")
    assert response.headers["retry-after"] == "5"


@pytest.mark.parametrize(("method", "path"), READS)
@pytest.mark.parametrize(
    "error",
    [KeyError("inside"), IllegalTransition(before="inside", after="b"), ForeignKey(key="inside", tenant="t")],
    ids=["any", "transition", "foreign key"],
)
def test_a_bug_is_500_and_says_nothing_of_what_is_within(door, method, path, error, caplog):
    with caplog.at_level(logging.INFO, "penstock.api"):
        response = broken(door, error).client().request(method, path)
    problem = is_problem(response, 500, "internal_error")
    assert "inside" not in response.text
    assert problem["instance"].removeprefix("urn:uuid:") in caplog.text


def test_a_bug_is_logged_with_its_trace_under_the_id_that_the_caller_was_told(door, caplog):
    response = broken(door, KeyError("inside")).client().get("/v1/documents")
    (record,) = [record for record in caplog.records if record.exc_info]
    assert response.headers["x-request-id"] in record.getMessage()
    assert "inside" in str(record.exc_info[1])


def test_each_request_is_one_line_in_the_log_without_its_query_or_its_key(door, caplog):
    with caplog.at_level(logging.INFO, "penstock.api"):
        response = door.client().get("/v1/search", params={"q": "private words"})
    lines = [record.getMessage() for record in caplog.records if record.name == "penstock.api"]
    assert len(lines) == 1
    assert lines[0].startswith("GET /v1/search 200 ")
    assert f"tenant=acme request={response.headers['x-request-id']}" in lines[0]
    assert "private" not in lines[0]
    assert door.key.split(".")[-1] not in lines[0]


def test_a_path_cannot_write_lines_of_its_own_into_the_log(door, caplog):
    with caplog.at_level(logging.INFO, "penstock.api"):
        door.client().get("/v1/documents/x%0Aforged")
    assert all("\n" not in record.getMessage() for record in caplog.records if record.name == "penstock.api")


def calls(door: Door):
    for path, methods in door.app.openapi()["paths"].items():
        for method, call in methods.items():
            yield f"{method.upper()} {path}", call


def test_the_description_has_all_calls_of_this_version_and_no_reserved_one(door):
    assert {name for name, _ in calls(door)} == {
        "GET /healthz",
        "GET /readyz",
        "POST /v1/health/task",
        "POST /v1/documents",
        "POST /v1/uploads",
        "GET /v1/documents",
        "GET /v1/documents/{document}",
        "DELETE /v1/documents/{document}",
        "GET /v1/documents/{document}/file",
        "GET /v1/tasks/{task}",
        "GET /v1/search",
        "POST /v1/documents/{document}/retry",
        "POST /v1/documents/{document}/cancel",
    }


def test_every_call_is_described_with_summary_text_tag_and_examples(door):
    for name, call in calls(door):
        assert call["summary"], name
        assert call["description"], name
        assert call["tags"], name
        for parameter in call.get("parameters", ()):
            assert "examples" in parameter["schema"] or "example" in parameter or "examples" in parameter, (
                name,
                parameter,
            )
        if "requestBody" in call:
            assert all("example" in body for body in call["requestBody"]["content"].values()), name
        for status, response in call["responses"].items():
            for body in response["content"].values():
                assert "example" in body or body["examples"], (name, status)


def test_every_problem_in_the_description_is_one_by_our_schema(door):
    document = door.app.openapi()
    assert "HTTPValidationError" not in document["components"]["schemas"]
    assert set(document["components"]["schemas"]["Problem"]["required"]) == {
        "type",
        "title",
        "status",
        "detail",
        "code",
    }
    for name, call in calls(door):
        for status, response in call["responses"].items():
            if int(status) < 400:
                assert set(response["content"]) == {"application/json"}
                continue
            assert set(response["content"]) == {MEDIA_TYPE}, name
            body = response["content"][MEDIA_TYPE]
            assert body["schema"] == {"$ref": "#/components/schemas/Problem"}
            for example in body["examples"].values():
                assert example["value"]["status"] == int(status), name


def test_every_call_tells_of_the_errors_that_any_call_can_have(door):
    for name, call in calls(door):
        assert "500" in call["responses"], name
        if "security" in call:
            assert {"401", "503"} <= set(call["responses"]), name


def test_references_in_the_description_lead_somewhere(door):
    document = door.app.openapi()
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}

    def references(node):
        if isinstance(node, dict):
            yield from ([node["$ref"]] if "$ref" in node else [])
            for value in node.values():
                yield from references(value)
        elif isinstance(node, list):
            for value in node:
                yield from references(value)

    assert set(references(document)) <= known


def test_the_documentation_page_and_the_description_need_no_key(door):
    client = door.client()
    client.headers.pop("Authorization")
    assert client.get("/docs").status_code == 200
    assert client.get("/openapi.json").json()["info"]["title"] == "Penstock"


@pytest.mark.invariant("I9")
def test_nothing_is_connected_before_the_first_request():
    """I9: nothing connects at import, nor when the app is made."""
    from penstock.api.app import create_app
    from tests.support.api_door import settings

    made = []
    create_app(lambda: made.append(1), settings()).openapi()
    assert made == []


def test_a_405_names_all_methods_that_the_path_takes(door):
    assert door.client().put("/v1/documents").headers["allow"] == "GET, POST"
    assert door.client().put("/v1/documents/x").headers["allow"] == "DELETE, GET"


@pytest.mark.invariant("I12")
def test_beyond_so_many_open_requests_the_next_is_503_at_once():
    """I12: what is open at once is bounded by a constant."""
    inside, seen = [], []

    async def nested(scope, receive, send):
        inside.append(scope)
        if len(inside) < 4:
            await app({"type": "http", "state": {"request_id": "r"}}, receive, note)

    async def note(message):
        seen.append(message)

    app = AdmissionControl(nested, max_open=2)
    asyncio.run(app({"type": "http", "state": {"request_id": "r"}}, None, note))
    assert len(inside) == 2
    assert seen[0]["status"] == 503
    assert dict(seen[0]["headers"])[b"retry-after"] == b"1"


def test_the_message_of_a_transient_error_is_for_its_reader():
    assert problem_of(Transient(why="the bucket does not answer")).detail.endswith("the bucket does not answer.")
