"""The real stack from outside: both doors, replace, delete, duplicate, search."""

from __future__ import annotations

import hashlib
import json
import uuid

import httpx
import pytest

from tests.e2e.limits import DIRECT_BYTES, SHARD_CHUNKS
from tests.e2e.stack import Stack, until
from tests.support.pdf_files import long_pdf, pdf
from tests.support.sample_files import zip_of

WEIR = "The weir at Thornby was raised by {} centimetres in the dry summer."


def hits(stack: Stack, query: str, document: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = stack.search(query, document=document)["hits"]
    return found


def dropped(stack: Stack, key: str) -> str:
    """The id of the document of a drop-folder key of the tenant `local`."""
    return hashlib.sha256(f"local\0{key}".encode()).hexdigest()[:32]


def test_a_pdf_by_https_is_found_on_its_page(stack: Stack) -> None:
    pages = ["A preface about nothing much.", WEIR.format(40), "An index of places."]
    entered = stack.upload("report.pdf", pdf(pages))
    assert not entered["already_here"]
    found = stack.final(entered["document_id"])
    assert (found["status"], found["receipt"]["pages"], found["receipt"]["kind"]) == ("indexed", 3, "pdf")
    assert found["receipt"]["chunks"] == found["receipt"]["vectors"]
    hit = stack.search("raised weir at Thornby", document=entered["document_id"])["hits"][0]
    assert hit["page"] == 2
    assert hit["url"].endswith("#page=2")
    assert "<mark>" in hit["snippet"]
    task = stack.linked(entered["status_url"]).json()
    assert task["state"] == "SUCCESS"


def test_the_original_comes_back_byte_for_byte(stack: Stack) -> None:
    content = pdf(["Bytes that must come back. " + uuid.uuid4().hex])
    entered = stack.upload("back.pdf", content)
    answer = stack.client.get(f"/v1/documents/{entered['document_id']}/file")
    assert answer.status_code == 307
    linked = httpx.get(answer.headers["location"], trust_env=False)
    assert linked.content == content


def test_the_drop_folder_takes_replaces_and_removes(stack: Stack) -> None:
    s3, key = stack.s3(), f"drop/local/wiki/{uuid.uuid4().hex}/notes on ä weir.md"
    s3.put_object(Bucket=stack.bucket, Key=key, Body=("# Levels\n\n" + WEIR.format(11)).encode())
    document = dropped(stack, key)
    first = stack.final(document)
    assert (first["status"], first["name"], first["source"]) == ("indexed", "notes on ä weir.md", "wiki")
    assert hits(stack, "weir raised", document)[0]["section"] == ["Levels"]
    original = stack.client.get(f"/v1/documents/{document}/file").headers["location"]
    assert httpx.get(original, trust_env=False).content == ("# Levels\n\n" + WEIR.format(11)).encode()
    s3.put_object(Bucket=stack.bucket, Key=key, Body=("# Levels\n\n" + WEIR.format(77)).encode())
    until(lambda: _generation_after(stack, document, first["generation"]), seconds=60, what="it is replaced")
    texts = [str(hit["snippet"]) for hit in hits(stack, "weir raised", document)]
    assert texts
    assert all("77" in text for text in texts)
    s3.delete_object(Bucket=stack.bucket, Key=key)
    until(lambda: not hits(stack, "weir raised", document) or None, seconds=60, what="it is hidden")
    until(lambda: _is_gone(stack, document), seconds=90, what="it is deleted")
    assert stack.versions(key) == [], "no bytes are left"


def _generation_after(stack: Stack, document: str, generation: int) -> bool | None:
    found = stack.document(document)
    return True if found["generation"] > generation and found["status"] == "indexed" else None


def _is_gone(stack: Stack, document: str) -> bool | None:
    answer = stack.client.get(f"/v1/documents/{document}")
    return True if answer.status_code == 404 or answer.json()["status"] == "deleted" else None


def test_a_document_id_again_replaces_and_the_same_bytes_are_no_work(stack: Stack) -> None:
    name = f"level-{uuid.uuid4().hex[:8]}"
    first = stack.upload("level.txt", WEIR.format(21).encode(), document_id=name)
    assert stack.final(name)["status"] == "indexed"
    again = stack.upload("level.txt", WEIR.format(21).encode(), document_id=name)
    assert (again["already_here"], again["task_id"]) == (True, first["task_id"])
    stack.upload("level.txt", WEIR.format(22).encode(), document_id=name)
    assert stack.final(name)["receipt"]["embedded"] == 1
    assert ["22" in str(hit["snippet"]) for hit in hits(stack, "weir Thornby", name)] == [True]


def test_the_same_bytes_under_another_id_are_not_embedded_again(stack: Stack) -> None:
    text = (WEIR.format(5) + uuid.uuid4().hex).encode()
    for name, embedded in (("first", 1), ("second", 0)):
        entered = stack.upload("t.txt", text, document_id=f"{name}-{uuid.uuid4().hex[:8]}")
        assert stack.final(entered["document_id"])["receipt"]["embedded"] == embedded


def test_a_deleted_document_is_gone_at_once_and_then_altogether(stack: Stack) -> None:
    entered = stack.upload("gone.txt", (WEIR.format(3) + uuid.uuid4().hex).encode())
    document = entered["document_id"]
    stack.final(document)
    assert hits(stack, "weir", document)
    answer = stack.client.delete(f"/v1/documents/{document}")
    assert answer.status_code == 202
    assert hits(stack, "weir", document) == []
    assert stack.task(answer.json()["task_id"])["state"] == "SUCCESS"
    assert stack.versions(f"files/local/{document}") == []


def test_a_long_pdf_of_several_shards_cites_the_right_page(stack: Stack) -> None:
    entered = stack.upload("long.pdf", long_pdf(120))
    found = stack.final(entered["document_id"])
    assert (found["status"], found["receipt"]["pages_with_text"]) == ("indexed", 120)
    assert found["receipt"]["chunks"] > SHARD_CHUNKS, "several shards"
    hit = stack.search("page-00077-mark", document=entered["document_id"])["hits"][0]
    assert hit["page"] == 77


def members(stack: Stack, archive: str, count: int) -> dict[str, dict[str, object]]:
    """The members of the archive by name, once this number of them has ended."""

    def ended() -> dict[str, dict[str, object]] | None:
        found = stack.client.get("/v1/documents", params={"container": archive, "limit": 100}).json()["documents"]
        by_name = {
            each["name"]: each for each in found if each["status"] in {"indexed", "partial", "no_text", "failed"}
        }
        return by_name if len(by_name) == len(found) == count else None

    return until(ended, seconds=90, what=f"{count} files of {archive} end")


def test_the_files_of_an_archive_are_documents_that_come_change_and_go_with_it(stack: Stack) -> None:
    archive, mark = f"box-{uuid.uuid4().hex[:8]}", uuid.uuid4().hex
    study = pdf(["A preface.", f"The sluice {mark} of Thornby."])
    within = zip_of({"deep.md": f"# Depth\n\nThe ferry {mark} crosses."})
    files: dict[str, str | bytes] = {
        "study.pdf": study,
        "in.zip": within,
        "gone.txt": f"A jetty {mark}.",
        "photo.png": b"\x89PNG\r\n\x1a\n" * 9,
    }
    stack.upload("box.zip", zip_of(files), document_id=archive, source="papers")
    found = stack.final(archive)
    receipt = found["receipt"]
    assert (found["status"], receipt["kind"], receipt["members"], receipt["chunks"]) == ("indexed", "zip", 3, 0)
    assert receipt["warnings"] == ["photo.png is a PNG image, which is not read."]
    first = members(stack, archive, 3)
    assert set(first) == {"box.zip/study.pdf", "box.zip/in.zip/deep.md", "box.zip/gone.txt"}
    hit = stack.search(f"sluice {mark}", source="papers")["hits"][0]
    assert (hit["name"], hit["page"]) == ("box.zip/study.pdf", 2)
    assert stack.document(hit["document_id"])["container"] == archive
    original = stack.client.get(f"/v1/documents/{hit['document_id']}/file").headers["location"]
    assert httpx.get(original, trust_env=False).content == study
    assert stack.search(f"ferry {mark}")["hits"][0]["section"] == ["Depth"]

    changed: dict[str, str | bytes] = {"study.pdf": study, "in.zip": zip_of({"deep.md": f"The bridge {mark} stands."})}
    stack.upload("box.zip", zip_of(changed), document_id=archive, source="papers")
    until(lambda: _generation_after(stack, archive, found["generation"]), seconds=60, what="it is replaced")
    second = members(stack, archive, 2)
    assert second["box.zip/study.pdf"]["generation"] == first["box.zip/study.pdf"]["generation"]
    assert second["box.zip/in.zip/deep.md"]["generation"] != first["box.zip/in.zip/deep.md"]["generation"]
    names = {hit["name"] for hit in stack.search(f'"{mark}"')["hits"]}
    assert names == {"box.zip/study.pdf", "box.zip/in.zip/deep.md"}
    gone = str(first["box.zip/gone.txt"]["document_id"])
    until(lambda: _is_gone(stack, gone), seconds=90, what="what is not in it any more is deleted")

    answer = stack.client.delete(f"/v1/documents/{archive}")
    assert answer.status_code == 202
    assert stack.search(f'"{mark}"')["hits"] == []
    assert stack.task(answer.json()["task_id"])["state"] == "SUCCESS"
    for each in (archive, *(str(member["document_id"]) for member in first.values())):
        assert stack.versions(f"files/local/{each}") == []
        assert _is_gone(stack, each)


def test_an_archive_in_the_drop_folder_goes_with_all_that_came_in_it(stack: Stack) -> None:
    s3, mark = stack.s3(), uuid.uuid4().hex
    key = f"drop/local/boxes/{mark}/box.zip"
    files: dict[str, str | bytes] = {f"{number}.txt": f"Lock {number} of the canal {mark}." for number in range(3)}
    s3.put_object(Bucket=stack.bucket, Key=key, Body=zip_of(files))
    archive = dropped(stack, key)
    assert stack.final(archive)["receipt"]["members"] == 3
    came = members(stack, archive, 3)
    assert {each["source"] for each in came.values()} == {"boxes"}
    assert len(stack.search(f'"{mark}"')["hits"]) == 3
    s3.delete_object(Bucket=stack.bucket, Key=key)
    until(lambda: not stack.search(f'"{mark}"')["hits"] or None, seconds=60, what="all of it is hidden")
    until(lambda: _is_gone(stack, archive), seconds=90, what="it is deleted")
    for each in came.values():
        assert stack.versions(f"files/local/{each['document_id']}") == []
    assert stack.versions(key) == []


def test_a_locked_pdf_fails_with_what_to_do(stack: Stack) -> None:
    entered = stack.upload("locked.pdf", pdf(["secret"], password="x"))
    found = stack.final(entered["document_id"])
    assert (found["status"], found["error"]["code"]) == ("failed", "password_required")
    task = stack.linked(entered["status_url"]).json()
    assert task["state"] == "FAILURE"
    assert task["next_steps"]


@pytest.mark.invariant("I10")
def test_another_tenants_document_is_not_there(stack: Stack) -> None:
    """I10: 404, never 403."""
    entered = stack.upload("mine.txt", (WEIR.format(9) + uuid.uuid4().hex).encode())
    stack.final(entered["document_id"])
    made = stack.penstock("keys", "create", "--tenant", "other", "--json", **stack.environment)
    with httpx.Client(
        base_url=stack.client.base_url, headers={"Authorization": f"Bearer {json.loads(made.stdout)['key']}"}
    ) as other:
        for path in ("", "/file"):
            answer = other.get(f"/v1/documents/{entered['document_id']}{path}")
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert other.get("/v1/search", params={"q": "weir"}).json()["hits"] == []
        assert other.get("/v1/documents").json()["documents"] == []


@pytest.mark.parametrize(
    ("name", "content", "status", "code"),
    [
        ("big.txt", b"x" * (DIRECT_BYTES + 1), 413, "send_by_upload"),
        ("tool.exe", b"MZ", 415, "type_not_accepted"),
        ("empty.txt", b"", 422, "empty_file"),
    ],
)
def test_what_is_not_taken_is_refused_with_a_reason(
    stack: Stack, name: str, content: bytes, status: int, code: str
) -> None:
    answer = stack.client.post("/v1/documents", files={"files": (name, content)})
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_no_op_goes_through_the_queue_and_back(stack: Stack) -> None:
    answer = stack.client.post("/v1/health/task")
    assert answer.status_code == 200, answer.text


def test_the_command_line_adds_finds_and_removes(stack: Stack) -> None:
    file = stack.state / "cli.pdf"
    file.write_bytes(pdf(["First page.", "The command line has put the turbine's song on page two."]))
    added = json.loads(stack.penstock("add", str(file), "--json").stdout)
    assert [each["status"] for each in added["documents"]] == ["indexed"]
    document = added["documents"][0]["document_id"]
    found = json.loads(stack.penstock("search", "song of the turbine", "--document", document, "--json").stdout)
    assert found["hits"][0]["page"] == 2
    assert document in stack.penstock("list", "--json").stdout
    assert stack.penstock("rm", document).returncode == 0
    assert stack.penstock("search", "song", "--document", document, check=False).returncode == 1


def test_eager_add_runs_the_whole_pipeline_in_the_calling_process(stack: Stack) -> None:
    file = stack.state / "eager.txt"
    file.write_text("An eager reader of river gauges. " + uuid.uuid4().hex)
    added = json.loads(
        stack.penstock(
            "add", str(file), "--json", PENSTOCK_EAGER="1", PENSTOCK_TENANT="local", **stack.environment
        ).stdout
    )
    document = added["documents"][0]["document_id"]
    assert stack.document(document)["status"] == "indexed"
    assert hits(stack, "eager river gauges", document)
