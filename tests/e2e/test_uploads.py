"""Large files on the real stack: announced, posted to the bucket by S3's own rules, found."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.documents import long_pdf
from tests.e2e.stack import RunningStack, running_stack, until

DIRECT = 50_000


@pytest.fixture(scope="module")
def small_door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """A stack whose API takes small requests only, as in Lambda."""
    state: Path = tmp_path_factory.mktemp("uploads") / "state"
    with running_stack(state, PENSTOCK_MAX_DIRECT_BYTES=str(DIRECT)) as running:
        yield running


def announce(stack: RunningStack, content: bytes, **fields: Any) -> dict[str, Any]:
    sha256 = hashlib.sha256(content).hexdigest()
    about = {"name": "long.txt", "size": len(content), "sha256": sha256, **fields}
    answer = stack.client.post("/v1/uploads", json=about)
    assert answer.status_code == 201, answer.text
    announced: dict[str, Any] = answer.json()
    return announced


def post(announced: dict[str, Any], content: bytes, **changed: str) -> int:
    form = {**announced["fields"], **changed}
    return httpx.post(announced["url"], data=form, files={"file": ("any", content)}, trust_env=False).status_code


def in_uploads(stack: RunningStack) -> list[str]:
    versions = stack.s3().list_object_versions(Bucket=stack.bucket, Prefix="uploads/").get("Versions", [])
    return [each["Key"] for each in versions]


def test_a_large_file_is_sent_to_the_bucket_and_found(small_door: RunningStack) -> None:
    content = (f"The aqueduct {uuid.uuid4().hex} crosses the valley.\n\n" * 2_000).encode()
    refused = small_door.client.post("/v1/documents", files={"files": ("long.txt", content)})
    assert (refused.status_code, refused.json()["code"]) == (413, "send_by_upload")
    announced = announce(small_door, content, metadata={"team": "water"})
    assert small_door.client.get(announced["status_url"]).json()["state"] == "PENDING"
    assert post(announced, content) == 204
    done = small_door.task(announced["task_id"])
    assert (done["state"], done["document_id"]) == ("SUCCESS", announced["document_id"])
    assert small_door.search("aqueduct valley", document=announced["document_id"])["hits"]
    found = small_door.document(announced["document_id"])
    assert (found["sha256"], found["metadata"]) == (hashlib.sha256(content).hexdigest(), {"team": "water"})
    linked = small_door.client.get(f"/v1/documents/{announced['document_id']}/file").headers["location"]
    assert httpx.get(linked, trust_env=False).content == content
    until(lambda: None if in_uploads(small_door) else True, seconds=30, what="nothing is left under uploads/")


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
def test_what_was_not_announced_is_not_taken(small_door: RunningStack, content: bytes, changed: dict[str, str]) -> None:
    announced = announce(small_door, b"as was announced")
    assert post(announced, content, **changed) in {400, 403}
    assert announced["fields"]["key"] not in in_uploads(small_door)
    assert small_door.client.get(announced["status_url"]).json()["state"] == "PENDING"


def test_what_nobody_announced_is_removed(small_door: RunningStack) -> None:
    small_door.s3().put_object(Bucket=small_door.bucket, Key="uploads/local/unknown/file", Body=b"bytes")
    until(lambda: None if in_uploads(small_door) else True, seconds=30, what="it is removed")


def test_the_command_line_chooses_the_way_by_size_and_sends_nothing_twice(small_door: RunningStack) -> None:
    """By what it knows itself, and by what the API says of a request."""
    small, large = small_door.state / "small.txt", small_door.state / "large.pdf"
    small.write_text(f"A small thing, {uuid.uuid4().hex}.")
    large.write_bytes(long_pdf(120))
    assert large.stat().st_size > DIRECT
    added = json.loads(small_door.penstock("add", str(small), str(large), "--json").stdout)["documents"]
    assert [each["status"] for each in added] == ["indexed", "indexed"]
    assert [each["task_id"].partition("-")[0] for each in added] == ["ingest", "upload"]
    again = json.loads(small_door.penstock("add", str(large), "--json", PENSTOCK_MAX_DIRECT_BYTES="1000").stdout)[
        "documents"
    ]
    assert [(each["document_id"], each["already_here"]) for each in again] == [(added[1]["document_id"], True)]
