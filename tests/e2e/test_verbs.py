"""Cancel, retry, doctor and dead letters on the real stack, by the command line, as an operator uses it at night."""

from __future__ import annotations

import json
import uuid
from typing import Any

import boto3

from tests.e2e.stack import RunningStack, until
from tests.support.pdf_files import long_pdf, pdf

PAGES = 2_500


def run_json(stack: RunningStack, *arguments: str, check: bool = True) -> Any:
    return json.loads(stack.penstock(*arguments, "--json", check=check, **stack.environment).stdout)


def doctor(stack: RunningStack) -> list[dict[str, Any]]:
    answer = stack.penstock("doctor", "--json", check=False, PENSTOCK_TENANT="local", **stack.environment)
    return [json.loads(line) for line in answer.stdout.splitlines()]


def test_a_running_document_is_cancelled_and_what_readers_saw_stays(stack: RunningStack) -> None:
    name = f"big-{uuid.uuid4().hex[:8]}"
    stack.upload("first.txt", b"The sluice of Harrow was lowered by hand.", document_id=name)
    first = stack.final(name)
    big = long_pdf(PAGES)
    entered = stack.announce(big, name="big.pdf", document_id=name)
    stack.post(entered, big)
    until(
        lambda: stack.document(name)["status"] in {"extracting", "embedding"} or None,
        seconds=60,
        what="somebody works on it",
    )
    cancelled = run_json(stack, "cancel", name)
    assert [each["status"] for each in cancelled["documents"]] == ["cancelled"]
    task = stack.task(entered["task_id"])
    assert (task["state"], task["reason"]) == ("REVOKED", "cancelled")
    found = stack.document(name)
    assert (found["status"], found["active"]["generation"]) == ("cancelled", first["generation"])
    hits = stack.search("sluice of Harrow", document=name)["hits"]
    assert [hit["generation"] for hit in hits] == [first["generation"]]
    assert not _work_files(stack, name)
    assert doctor(stack) == [{"tenant": "local", "findings": 0, "mended": 0, "kinds": {}}]
    retried = run_json(stack, "retry", name)
    assert [each["status"] for each in retried["documents"]] == ["indexed"]
    assert stack.document(name)["receipt"]["pages"] == PAGES
    until(lambda: not _work_files(stack, name) or None, seconds=60, what="its work files are gone")
    assert doctor(stack)[-1]["findings"] == 0
    started = stack.client.delete(f"/v1/documents/{name}").json()
    removed = stack.task(started["task_id"])["result"]["removed"]
    assert removed["chunks"] > PAGES // 10
    assert (removed["objects"], removed["versions"]) == (1, 2)


def _work_files(stack: RunningStack, document: str) -> list[str]:
    listed = stack.s3().list_objects_v2(Bucket=stack.bucket, Prefix=f"work/local/{document}/")
    return [each["Key"] for each in listed.get("Contents", [])]


def test_a_failed_document_is_retried_with_its_old_error_in_the_history_alone(stack: RunningStack) -> None:
    entered = stack.upload("locked.pdf", pdf(["secret " + uuid.uuid4().hex], password="x"))
    document = entered["document_id"]
    first = stack.final(document)
    assert first["error"]["code"] == "password_required"
    retried = run_json(stack, "retry", document, check=False)
    assert [each["status"] for each in retried["documents"]] == ["failed"]
    again = stack.document(document)
    assert [cause["at"] for cause in again["history"]] == [first["error"]["at"]]
    assert again["error"]["at"] > first["error"]["at"]
    answer = stack.client.post(f"/v1/documents/{document}/cancel")
    assert (answer.status_code, answer.json()["code"]) == (409, "nothing_to_cancel")


def test_the_doctor_finds_what_was_removed_past_penstock_and_mends_what_the_index_lost(stack: RunningStack) -> None:
    entered = stack.upload("kept.txt", f"The gauge of {uuid.uuid4().hex} stands at nine.".encode())
    document = entered["document_id"]
    stack.final(document)
    s3, key = stack.s3(), f"files/local/{document}"
    (version,) = s3.list_object_versions(Bucket=stack.bucket, Prefix=key)["Versions"]
    s3.delete_object(Bucket=stack.bucket, Key=key, VersionId=version["VersionId"])
    *findings, total = doctor(stack)
    assert [(each["kind"], each["document"]) for each in findings] == [("original_missing", document)]
    assert total["mended"] == 0
    stack.task(stack.client.delete(f"/v1/documents/{document}").json()["task_id"])
    assert doctor(stack)[-1]["findings"] == 0


def test_a_message_that_nobody_can_read_is_found_among_the_dead_letters(stack: RunningStack) -> None:
    sqs = boto3.client(
        "sqs",
        endpoint_url=stack.environment["AWS_ENDPOINT_URL"],
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    body = f"no task at all {uuid.uuid4().hex}"
    sqs.send_message(QueueUrl=json.loads(stack.environment["PENSTOCK_QUEUES"])["extract-express"], MessageBody=body)

    def filed() -> dict[str, Any] | None:
        letters = run_json(stack, "dead-letters", "list", "--queue", "extract")["letters"]
        return next((each for each in letters if each["fate"] == "poison"), None)

    letter = until(filed, seconds=90, what="the letter is filed")
    assert "no JSON" in letter["reason"]
    shown = stack.penstock("dead-letters", "show", letter["id"], **stack.environment)
    assert json.loads(shown.stdout)["body"] == body
    refused = run_json(stack, "dead-letters", "redrive", letter["id"], "--yes", check=False)
    assert "not a message of Penstock" in refused["letters"][0]["refused"]
    run_json(stack, "dead-letters", "drop", "--reason", "no json", "--yes")
    assert filed() is None
    kept = run_json(stack, "dead-letters", "list", "--kept")["letters"]
    assert letter["id"] in [each["id"] for each in kept if each["fate"] == "dropped"]
