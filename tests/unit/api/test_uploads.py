"""POST /v1/uploads, and the 413 of POST /v1/documents that refers to it."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from penstock.documents.object_events import ObjectEvent
from penstock.ports import PostPolicy
from tests.support.api_door import SMALL, Door, is_problem, settings
from tests.support.world import TENANT

BODY = b"The sluice at Thornby is opened in spring."


def announcement(**changes: Any) -> dict[str, Any]:
    return {"name": "sluice.txt", "size": len(BODY), "sha256": hashlib.sha256(BODY).hexdigest(), **changes}


def arrives(door: Door, announced: dict[str, Any]) -> None:
    stored = door.world.objects.post(PostPolicy(announced["url"], announced["fields"]), BODY)
    assert stored is not None
    door.world.receive(ObjectEvent(stored.key, stored.version, stored.size, stored.etag, "01", removed=False))
    door.world.drain()


def test_an_announced_file_is_sent_to_the_bucket_and_found(door: Door) -> None:
    response = door.client().post(
        "/v1/uploads", json=announcement(document_id="sluice", source="wiki", lane="bulk", metadata={"team": "water"})
    )
    assert response.status_code == 201, response.text
    announced = response.json()
    assert announced["fields"]["key"] == f"uploads/{TENANT}/{announced['upload_id']}/file"
    assert announced["fields"]["Content-Type"] == "text/plain"
    assert response.headers["location"] == announced["status_url"]
    pending = door.client().get(announced["status_url"]).json()
    assert (pending["state"], pending["document_status"], pending["document_id"]) == ("PENDING", None, "sluice")
    arrives(door, announced)
    done = door.client().get(announced["status_url"]).json()
    assert (done["state"], done["operation"], done["task_id"]) == ("SUCCESS", "upload", announced["task_id"])
    assert done["result"]["document_id"] == "sluice"
    found = door.client().get("/v1/documents/sluice").json()
    assert (found["generation"], found["source"], found["lane"]) == (done["result"]["generation"], "wiki", "bulk")


def test_its_id_is_that_of_the_same_bytes_by_post_documents(door: Door) -> None:
    announced = door.client().post("/v1/uploads", json=announcement()).json()
    (added,) = door.add(("sluice.txt", BODY)).json()["documents"]
    assert announced["document_id"] == added["document_id"]


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"size": 0}, 422, "invalid_request"),
        ({"size": SMALL + 1}, 413, "file_too_large"),
        ({"name": "image.png"}, 415, "type_not_accepted"),
        ({"name": ""}, 422, "invalid_request"),
        ({"sha256": "abc"}, 422, "invalid_request"),
        ({"document_id": "not an id"}, 422, "invalid_request"),
        ({"source": "/"}, 422, "invalid_request"),
        ({"lane": "fast"}, 422, "invalid_request"),
        ({"metadata": {"a": "x" * 257}}, 422, "invalid_request"),
        ({"unknown": 1}, 422, "invalid_request"),
    ],
)
def test_what_cannot_be_awaited_is_refused_before_it_is_sent(
    door: Door, changes: dict[str, Any], status: int, code: str
) -> None:
    is_problem(door.client().post("/v1/uploads", json=announcement(**changes)), status, code)
    assert not door.world.uploads.items


def test_it_needs_a_key(door: Door) -> None:
    is_problem(door.client("psk.none").post("/v1/uploads", json=announcement()), 401, "unauthorized")


def test_where_requests_must_be_small_a_large_one_is_told_of_uploads() -> None:
    door = Door(settings=settings(max_direct_bytes=1_000))
    problem = is_problem(door.add(("big.txt", b"x" * 1_000)), 413, "send_by_upload")
    assert "POST /v1/uploads" in problem["detail"]
    assert "1000 bytes" in problem["detail"]
    assert door.add(("small.txt", b"x" * 100)).status_code == 202


def test_a_request_that_hides_its_size_is_refused_all_the_same() -> None:
    door = Door(settings=settings(max_direct_bytes=1_000))
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    is_problem(
        door.client().post("/v1/documents", content=(b"x" * 100 for _ in range(11)), headers=headers),
        413,
        "send_by_upload",
    )
