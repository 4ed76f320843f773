"""POST /v1/documents: which files are accepted and which are refused."""

from __future__ import annotations

import hashlib
import unicodedata

import pytest

from penstock.domain.errors import Transient
from penstock.domain.status import Status
from penstock.reading.kinds import media_type_of, media_types
from tests.support.api_door import SMALL, is_problem
from tests.support.world import TENANT

TEXT = b"The valve is opened by turning the wheel to the left."


def only(response) -> dict:
    assert response.status_code == 202, response.text
    (added,) = response.json()["documents"]
    return added


def test_one_file_is_accepted_at_once_and_its_task_can_be_polled(door):
    response = door.add(("valve.txt", TEXT))
    added = only(response)
    assert added["name"] == "valve.txt"
    assert added["already_here"] is False
    assert response.headers["location"] == added["status_url"]
    assert added["status_url"].endswith(f"/v1/tasks/{added['task_id']}")
    assert door.client().get(added["status_url"]).json()["state"] == "PENDING"
    door.world.drain()
    assert door.client().get(added["status_url"]).json()["state"] == "SUCCESS"


def test_the_stored_bytes_and_their_hash_are_those_that_were_sent(door):
    added = only(door.add(("valve.txt", TEXT), document_id="valve"))
    record = door.world.record(added["document_id"])
    with door.world.objects.get(TENANT, record.original.key, record.original.version) as blocks:
        assert b"".join(blocks) == TEXT
    assert record.original.sha256 == hashlib.sha256(TEXT).hexdigest()
    assert record.original.size == len(TEXT)


def test_fields_are_kept_with_the_document(door):
    added = only(door.add(("a.md", TEXT), document_id="a", source="intranet", lane="express", metadata={"team": "Süd"}))
    record = door.world.record(added["document_id"])
    assert (record.id, record.source, record.lane, dict(record.metadata)) == (
        "a",
        "intranet",
        "express",
        {"team": "Süd"},
    )
    assert record.original.content_type == "text/markdown"
    assert door.world.queue.sent[0][1] == "express"


def test_the_same_bytes_again_are_already_here_and_cause_no_work(door):
    first = only(door.add(("valve.txt", TEXT)))
    door.world.drain()
    again = only(door.add(("valve.txt", TEXT)))
    assert again["already_here"] is True
    assert again["document_id"] == first["document_id"]
    assert door.world.queue.sent == []


def test_of_several_files_each_has_its_own_outcome_in_order(door):
    response = door.add(("a.txt", TEXT), ("b.png", b"\x89PNG"), ("c.txt", b""), ("d.txt", TEXT + b" "))
    assert response.status_code == 202
    a, b, c, d = response.json()["documents"]
    assert (a["name"], d["name"]) == ("a.txt", "d.txt")
    assert a["document_id"] != d["document_id"]
    assert (b["problem"]["code"], b["problem"]["status"]) == ("type_not_accepted", 415)
    assert (c["problem"]["code"], c["problem"]["status"]) == ("empty_file", 422)


def test_where_no_file_was_accepted_the_answer_is_the_first_problem_with_all_of_them_in_it(door):
    problem = is_problem(door.add(("b.png", b"\x89PNG"), ("c.txt", b"")), 415, "type_not_accepted")
    assert [each["code"] for each in problem["errors"]] == ["type_not_accepted", "empty_file"]
    assert problem["errors"][1]["field"] == "files[1] c.txt"


def test_a_type_that_is_not_accepted_is_415_naming_the_accepted_ones_and_their_setting(door):
    problem = is_problem(door.add(("image.png", b"\x89PNG")), 415, "type_not_accepted")
    assert "image/png" in problem["detail"]
    assert ", ".join(sorted(media_types())) in problem["detail"]
    assert "PENSTOCK_ACCEPTED_TYPES" in problem["detail"]


def test_a_file_above_the_limit_is_413_naming_the_limit_and_its_setting(door):
    problem = is_problem(door.add(("big.txt", b"x" * (SMALL + 1))), 413, "file_too_large")
    assert str(SMALL) in problem["detail"]
    assert "PENSTOCK_MAX_FILE_BYTES" in problem["detail"]
    assert door.world.objects.objects == {}


def test_a_file_of_exactly_the_limit_is_accepted(door):
    only(door.add(("just.txt", b"x" * SMALL)))


def test_a_document_that_is_being_deleted_is_409(door):
    added = only(door.add(("valve.txt", TEXT), document_id="valve"))
    door.client().delete(f"/v1/documents/{added['document_id']}")
    is_problem(door.add(("valve.txt", TEXT), document_id="valve"), 409, "being_deleted")


def test_a_service_that_does_not_answer_is_503_with_when_to_come_again(door):
    class Down:
        def put(self, *args, **kwargs):
            raise Transient(why="the bucket does not answer", retry_after=7.2)

    response = door.broken(objects=Down()).add(("valve.txt", TEXT))
    is_problem(response, 503, "temporarily_unavailable")
    assert response.headers["retry-after"] == "8"
    assert door.world.documents.items == {}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"lane": "fast"}, "form.lane"),
        ({"document_id": "no good"}, "form.document_id"),
        ({"source": "a/b"}, "form.source"),
        ({"source": ""}, "form.source"),
        ({"metadata": "{"}, "form.metadata"),
        ({"metadata": ["a"]}, "form.metadata"),
        ({"metadata": {"n": 1}}, "form.metadata.n"),
        ({"metadata": {str(number): "" for number in range(21)}}, "form.metadata"),
        ({"metadata": {"k" * 65: "v"}}, f"form.metadata.{'k' * 65}.[key]"),
        ({"metadata": {"k": "v" * 257}}, "form.metadata.k"),
        ({"metadata": {str(number): "ü" * 250 for number in range(4)}}, "form.metadata"),
        ({"colour": "red"}, "form.colour"),
    ],
)
def test_a_field_that_is_not_as_it_should_be_is_named_in_a_422(door, fields, field):
    problem = is_problem(door.add(("valve.txt", TEXT), **fields), 422, "invalid_request")
    assert [each["field"] for each in problem["errors"]] == [field]
    assert door.world.documents.items == {}


def test_one_document_id_for_several_files_is_refused(door):
    is_problem(door.add(("a.txt", TEXT), ("b.txt", TEXT), document_id="x"), 400, "bad_request")


FORM = "multipart/form-data; boundary=b"
PART = b'--b\r\nContent-Disposition: form-data; name="%b"; filename="a.txt"\r\n\r\nwords'


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", FORM),
        (b"{}", "application/json"),
        (b"--b--\r\n", FORM),
        (b"nonsense", FORM),
        (b"--b--\r\n", "multipart/form-data"),
        (PART % b"files", FORM),
        (PART % b"other" + b"\r\n--b--\r\n", FORM),
        (b"--b--\r\n", "multipart/form-data; boundary=" + "b" * 500),
    ],
    ids=["empty", "json", "no parts", "nonsense", "no boundary", "cut short", "other field", "long boundary"],
)
def test_a_body_that_is_no_form_with_files_is_400(door, content, kind):
    response = door.client().post("/v1/documents", content=content, headers={"Content-Type": kind})
    is_problem(response, 400, "bad_request")
    assert door.world.documents.items == {}


def test_too_many_files_in_one_request_are_400(door):
    is_problem(door.add(*((f"{number}.txt", TEXT) for number in range(101))), 400, "bad_request")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("../../etc/passwd.txt", "passwd.txt"),
        ("C:\\Users\\me\\notes.txt", "notes.txt"),
        ("bad\x00\x1b\u202etxt.md", "badtxt.md"),
        (unicodedata.normalize("NFD", "Übung.txt"), "Übung.txt"),
        ("報告書.pdf", "報告書.pdf"),
        ("..", "unnamed"),
        ("a" * 400 + ".txt", "a" * 251 + ".txt"),
    ],
)
def test_only_a_harmless_base_name_of_bounded_length_is_kept(door, given, kept):
    from penstock.documents.file_names import clean_name

    assert clean_name(given) == kept
    assert clean_name(kept) == kept


def test_names_travel_as_utf8(door):
    assert only(door.add(("Prüfbericht 報告.txt", TEXT)))["name"] == "Prüfbericht 報告.txt"


@pytest.mark.parametrize(
    ("name", "declared", "kept"),
    [
        ("a.pdf", "application/octet-stream", "application/pdf"),
        ("a.PDF", "text/plain", "application/pdf"),
        ("notes", "text/x-markdown", "text/markdown"),
        ("a.markdown", "application/octet-stream", "text/markdown"),
        ("server.log", "text/plain; charset=utf-8", "text/plain"),
        ("a.png", "image/png", None),
        ("a.docx", "text/plain", media_type_of("a.docx")),
        ("a.mp4", "application/octet-stream", None),
        ("unknown", "application/octet-stream", None),
    ],
)
def test_the_name_decides_the_type_before_what_was_declared(door, name, declared, kept):
    response = door.add((name, TEXT, declared))
    if kept is None:
        is_problem(response, 415, "type_not_accepted")
    else:
        assert door.world.record(only(response)["document_id"]).original.content_type == kept


def test_a_document_is_listed_from_the_moment_it_was_accepted(door):
    added = only(door.add(("valve.txt", TEXT)))
    (listed,) = door.client().get("/v1/documents").json()["documents"]
    assert (listed["document_id"], listed["status"]) == (added["document_id"], Status.QUEUED)
