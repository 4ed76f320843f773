"""Large files on the real stack: they are announced, posted to the bucket by S3's rules, and found."""

from __future__ import annotations

import hashlib
import json
import uuid

import httpx
import pytest

from tests.e2e.limits import DIRECT_BYTES, FILE_BYTES
from tests.e2e.stack import Stack, until


def test_a_large_file_is_sent_to_the_bucket_and_found(stack: Stack) -> None:
    content = (f"The aqueduct {uuid.uuid4().hex} crosses the valley.\n\n" * 4_000).encode()
    refused = stack.client.post("/v1/documents", files={"files": ("long.txt", content)})
    assert (refused.status_code, refused.json()["code"]) == (413, "send_by_upload")
    announced = stack.announce(content, metadata={"team": "water"})
    assert stack.linked(announced["status_url"]).json()["state"] == "PENDING"
    assert stack.post(announced, content) == 204
    done = stack.task(announced["task_id"])
    assert (done["state"], done["document_id"]) == ("SUCCESS", announced["document_id"])
    assert stack.search("aqueduct valley", document=announced["document_id"])["hits"]
    found = stack.document(announced["document_id"])
    assert (found["sha256"], found["metadata"]) == (hashlib.sha256(content).hexdigest(), {"team": "water"})
    linked = stack.client.get(f"/v1/documents/{announced['document_id']}/file").headers["location"]
    assert httpx.get(linked, trust_env=False).content == content
    until(lambda: None if stack.versions("uploads/") else True, seconds=30, what="nothing is left under uploads/")


@pytest.mark.parametrize(
    ("content", "changed"),
    [
        (b"one byte too many", {}),
        (b"too few", {}),
        (b"as was announced", {"Content-Type": "application/pdf"}),
        (b"as was announced", {"x-amz-checksum-sha256": "b2Y="}),
        (b"as was announced", {"key": "uploads/other/u/file"}),
    ],
)
def test_what_was_not_announced_is_not_taken(stack: Stack, content: bytes, changed: dict[str, str]) -> None:
    announced = stack.announce(b"as was announced")
    assert stack.post(announced, content, **changed) in {400, 403}
    assert announced["fields"]["key"] not in stack.versions("uploads/")
    assert stack.linked(announced["status_url"]).json()["state"] == "PENDING"


def test_what_is_larger_than_any_file_may_be_is_not_awaited(stack: Stack) -> None:
    about = {"name": "large.txt", "size": FILE_BYTES + 1}
    answer = stack.client.post("/v1/uploads", json=about)
    assert (answer.status_code, answer.json()["code"]) == (413, "file_too_large")


def test_what_nobody_announced_is_removed(stack: Stack) -> None:
    stack.s3().put_object(Bucket=stack.bucket, Key="uploads/local/unknown/file", Body=b"bytes")
    until(lambda: None if stack.versions("uploads/") else True, seconds=30, what="it is removed")


def test_the_command_line_chooses_the_way_by_size_and_sends_nothing_twice(stack: Stack) -> None:
    """It knows the limit by itself, or learns it from the API's answer to a request."""
    fresh = uuid.uuid4().hex
    small, large = stack.state / "small.txt", stack.state / "large.txt"
    small.write_text(f"A small thing, {fresh}.")
    large.write_text("".join(f"Line {number}: the river is {fresh} high.\n" for number in range(4_000)))
    assert large.stat().st_size > DIRECT_BYTES
    added = json.loads(stack.penstock("add", str(small), str(large), "--json").stdout)["documents"]
    assert [each["status"] for each in added] == ["indexed", "indexed"]
    assert [each["task_id"].partition("-")[0] for each in added] == ["ingest", "upload"]
    again = json.loads(stack.penstock("add", str(large), "--json", PENSTOCK_MAX_DIRECT_BYTES="1000").stdout)[
        "documents"
    ]
    assert [(each["document_id"], each["already_here"]) for each in again] == [(added[1]["document_id"], True)]
