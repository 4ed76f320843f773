"""Documents over HTTP: lists, details, original files and deletion."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from penstock.domain.errors import PasswordRequired
from penstock.domain.ids import TenantId
from tests.support.api_door import Door, is_problem
from tests.support.world import prose


def test_a_document_shows_status_progress_chunks_receipt_and_what_readers_find(door):
    id_ = door.indexed("The valve is opened by turning the wheel.", document_id="valve", metadata={"team": "a"})
    found = door.client().get(f"/v1/documents/{id_}").json()
    assert found["status"] == "indexed"
    assert found["progress"] == {"current": 1, "total": 1, "unit": "pages"}
    assert found["chunks"] == found["receipt"]["chunks"] == found["active"]["chunks"] == 1
    assert found["receipt"]["vectors"] == found["receipt"]["embedded"] == 1
    assert found["receipt"]["pages"] == found["receipt"]["pages_with_text"] == 1
    assert found["active"]["generation"] == found["generation"]
    assert found["metadata"] == {"team": "a"}
    assert found["error"] is None
    assert door.client().get(f"/v1/tasks/{found['task_id']}").json()["state"] == "SUCCESS"


def test_a_document_in_the_making_shows_how_far_it_is(door):
    door = Door(settings=replace(door.settings, max_file_bytes=1_000_000))
    door.add(("long.txt", prose("long", 12).encode()), document_id="long")
    seen = []
    while door.world.queue.sent:
        door.world.run(door.world.take())
        found = door.client().get("/v1/documents/long").json()
        seen.append((found["status"], found["chunks"]))
    assert ("embedding", 2) in seen
    assert seen[-1][0] == "indexed"


def test_a_failed_document_names_its_error_and_its_task_what_to_do(door):
    door.world.reader.fail = PasswordRequired()
    door.add(("a.pdf", b"%PDF-"), document_id="a")
    door.world.drain()
    found = door.client().get("/v1/documents/a").json()
    assert (found["status"], found["error"]["code"], found["active"]) == ("failed", "password_required", None)
    task = door.client().get(f"/v1/tasks/{found['task_id']}").json()
    assert task["state"] == "FAILURE"
    assert task["result"] is None
    assert task["next_steps"]


def test_while_a_newer_generation_is_made_the_older_one_is_shown_as_active(door):
    door.indexed("The first words.", document_id="doc")
    first = door.client().get("/v1/documents/doc").json()
    door.world.clock.pass_time(timedelta(seconds=1))
    door.add(("file.txt", b"The second words."), document_id="doc")
    found = door.client().get("/v1/documents/doc").json()
    assert found["status"] == "queued"
    assert found["generation"] > first["generation"]
    assert found["active"]["generation"] == first["generation"]


def test_the_original_of_the_active_generation_is_a_short_lived_redirect(door):
    door.indexed("The first words.", document_id="doc")
    first = door.client().get("/v1/documents/doc").json()["generation"]
    door.world.clock.pass_time(timedelta(seconds=1))
    door.add(("newer.txt", b"The second words."), document_id="doc")
    newest = door.client().get("/v1/documents/doc").json()["generation"]
    response = door.client().get("/v1/documents/doc/file")
    assert response.status_code == 307
    assert response.json()["url"] == response.headers["location"]
    assert "name=file.txt" in response.headers["location"]
    assert f"seconds={door.settings.link_seconds}" in response.headers["location"]
    assert response.headers["cache-control"] == "no-store"
    chosen = door.client().get("/v1/documents/doc/file", params={"generation": newest})
    assert "name=newer.txt" in chosen.headers["location"]
    same = door.client().get("/v1/documents/doc/file", params={"generation": first})
    assert same.headers["location"] == response.headers["location"]
    gone = door.client().get("/v1/documents/doc/file", params={"generation": first - 1})
    is_problem(gone, 404, "not_found")


def test_a_document_not_yet_searchable_gives_its_newest_bytes(door):
    door.add(("new.txt", b"Words."), document_id="doc")
    assert "name=new.txt" in door.client().get("/v1/documents/doc/file").headers["location"]


def test_a_deleted_document_is_gone_from_search_at_once_and_from_everything_when_its_task_ends(door):
    door.indexed("The valve is opened by turning the wheel.", document_id="valve")
    response = door.client().delete("/v1/documents/valve")
    assert response.status_code == 202
    started = response.json()
    assert door.client().get("/v1/search", params={"q": "valve"}).json()["hits"] == []
    is_problem(door.client().get("/v1/documents/valve/file"), 404, "not_found")
    assert door.client().get("/v1/documents/valve").json()["status"] == "deleting"
    assert door.client().delete("/v1/documents/valve").json() == started
    door.world.drain()
    assert door.client().get(started["status_url"]).json()["state"] == "SUCCESS"
    is_problem(door.client().get("/v1/documents/valve"), 404, "not_found")
    is_problem(door.client().delete("/v1/documents/valve"), 404, "not_found")
    assert door.client().get("/v1/documents").json() == {"documents": [], "next": None}
    assert door.world.objects.objects == {}


def test_a_removal_tells_what_it_removed(door):
    door.indexed("The valve is opened by turning the wheel.", document_id="valve")
    door.add(("file.txt", b"Other words."), document_id="valve")
    door.world.drain()
    started = door.client().delete("/v1/documents/valve").json()
    assert door.client().get(started["status_url"]).json()["result"] is None
    door.world.drain()
    result = door.client().get(started["status_url"]).json()["result"]
    assert result["removed"] == {"chunks": 1, "objects": 1, "versions": 2}
    assert result["receipt"] is None


def test_a_failed_document_is_retried_and_its_task_polled_again(door):
    door.world.reader.fail = PasswordRequired()
    door.add(("a.txt", b"Words."), document_id="a")
    door.world.drain()
    failed = door.client().get("/v1/documents/a").json()
    assert (failed["error"]["attempt"], failed["error"]["at"] is not None, failed["history"]) == (1, True, [])
    door.world.reader.fail = None
    response = door.client().post("/v1/documents/a/retry")
    assert response.status_code == 202
    started = response.json()
    assert response.headers["location"] == started["status_url"]
    assert started["task_id"] == failed["task_id"]
    assert door.client().post("/v1/documents/a/retry").json() == started
    assert door.client().get(started["status_url"]).json()["state"] == "PENDING"
    again = door.client().get("/v1/documents/a").json()
    assert (again["error"], [each["code"] for each in again["history"]]) == (None, ["password_required"])
    door.world.drain()
    assert door.client().get(started["status_url"]).json()["state"] == "SUCCESS"
    is_problem(door.client().post("/v1/documents/a/retry"), 409, "nothing_to_retry")


def test_a_cancel_is_told_by_the_task_that_it_revokes(door):
    door.add(("a.txt", b"Words."), document_id="a")
    response = door.client().post("/v1/documents/a/cancel")
    assert response.status_code == 202
    started = response.json()
    assert response.headers["location"] == started["status_url"]
    assert door.client().post("/v1/documents/a/cancel").json() == started
    task = door.client().get(started["status_url"]).json()
    assert (task["state"], task["reason"], task["document_status"]) == ("REVOKED", "cancelled", "cancelled")


@pytest.mark.parametrize("verb", ["retry", "cancel"])
def test_what_is_going_or_gone_is_neither_retried_nor_cancelled(door, verb):
    door.indexed("Words.", document_id="a")
    if verb == "cancel":
        is_problem(door.client().post("/v1/documents/a/cancel"), 409, "nothing_to_cancel")
    door.client().delete("/v1/documents/a")
    is_problem(door.client().post(f"/v1/documents/a/{verb}"), 409, "being_deleted")
    door.world.drain()
    problem = is_problem(door.client().post(f"/v1/documents/a/{verb}"), 410, "deleted")
    assert "Add it again" in problem["detail"]
    is_problem(door.client().post(f"/v1/documents/never-was/{verb}"), 404, "not_found")


def test_pages_of_the_list_follow_one_another_by_cursor(door):
    for number in range(5):
        door.world.clock.pass_time(timedelta(seconds=1))
        door.add((f"{number}.txt", f"Text {number}.".encode()), document_id=f"d{number}")
    first = door.client().get("/v1/documents", params={"limit": 3}).json()
    second = door.client().get("/v1/documents", params={"limit": 3, "cursor": first["next"]}).json()
    ids = [each["document_id"] for each in first["documents"] + second["documents"]]
    assert ids == ["d4", "d3", "d2", "d1", "d0"]
    assert second["next"] is None


def test_the_list_is_filtered_by_several_statuses_and_sources(door):
    door.indexed("One.", document_id="one", source="left")
    door.add(("two.txt", b"Two."), document_id="two", source="right")
    client = door.client()

    def ids(**params):
        return {each["document_id"] for each in client.get("/v1/documents", params=params).json()["documents"]}

    assert ids(status=["indexed", "queued"]) == {"one", "two"}
    assert ids(status="queued") == {"two"}
    assert ids(source="left") == {"one"}
    assert ids(source="left", status="queued") == set()


@pytest.mark.parametrize("cursor", ["nonsense", "bm9uc2Vuc2U", "MjAyNi0wMy0wMX4v", "%%%", "é"])
def test_a_cursor_that_is_not_ours_is_400(door, cursor):
    is_problem(door.client().get("/v1/documents", params={"cursor": cursor}), 400, "bad_request")


@pytest.mark.invariant("I10")
@pytest.mark.parametrize("method_and_path", [
    ("GET", "/v1/documents/doc"), ("GET", "/v1/documents/doc/file"), ("DELETE", "/v1/documents/doc"),
    ("POST", "/v1/documents/doc/retry"), ("POST", "/v1/documents/doc/cancel"), ("GET", "/v1/tasks/{task}"),
])  # fmt: skip
def test_another_tenants_document_is_404_word_for_word_as_one_that_never_was(door, method_and_path):
    """I10: nobody can tell whether another tenant has a document."""
    door.indexed("The valve.", document_id="doc")
    task = door.client().get("/v1/documents/doc").json()["task_id"]
    method, path = method_and_path
    path = path.format(task=task)
    theirs = is_problem(door.stranger().request(method, path), 404, "not_found")
    no_stop_request = is_problem(Door().client().request(method, path), 404, "not_found")
    assert theirs["detail"] == no_stop_request["detail"]
    assert door.world.documents.read(TenantId("acme"), "doc") is not None
    assert door.stranger().get("/v1/documents").json()["documents"] == []
