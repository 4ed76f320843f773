"""The whole template on the emulator: documents in and out by HTTPS and S3 alone, worked on by the deployed functions,
each of which may do what its role says. One stack for all; each test has documents of its own."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from typing import Any

import boto3
import httpx
import pytest

from penstock.local.deploy import TENANT, Deployed, delete_stack, deployed, instead_of
from penstock.local.template import read_template
from tests.documents import long_pdf
from tests.e2e.stack import FINAL, ROOT, until

PYTHON = ROOT / ".venv-emulator-deploy/bin/python"
STATE = ROOT / ".penstock/deploy-test"
TEMPLATE = ROOT / "template.yaml"
RESOURCES = read_template(TEMPLATE).resources
FUNCTIONS = {name: each for name, each in RESOURCES.items() if each["Type"] == "AWS::Serverless::Function"}
SECONDS = 90
pytestmark = pytest.mark.timeout(600)  # the first time, the layers are made


@pytest.fixture(scope="module", autouse=True)
def _environment_as_it_was() -> Iterator[None]:
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="module")
def stack(_environment_as_it_was: None) -> Iterator[Deployed]:
    with deployed(TEMPLATE, STATE, PYTHON) as there:
        yield there


@pytest.fixture(scope="module")
def api(stack: Deployed) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {stack.key}"}
    with httpx.Client(base_url=stack.url, headers=headers, timeout=60, trust_env=False) as client:
        yield client


def _page(word: str) -> bytes:
    return f"# On the {word}\n\nThe {word} carries water from the dam to the turbine.\n".encode()


def _final(api: httpx.Client, document: str) -> dict[str, Any]:
    def ended() -> dict[str, Any] | None:
        answer = api.get(f"/v1/documents/{document}")
        found = answer.json() if answer.is_success else None
        return found if found and found["status"] in FINAL else None

    return until(ended, seconds=SECONDS, what=f"document {document} ends")


def _found(api: httpx.Client, query: str) -> set[str]:
    answer = api.get("/v1/search", params={"q": query})
    assert answer.is_success, answer.text
    return {hit["document_id"] for hit in answer.json()["hits"]}


def test_a_document_by_https_is_found_and_then_deleted(api: httpx.Client) -> None:
    answer = api.post("/v1/documents", files={"files": ("conduit.md", _page("conduit"))})
    assert answer.status_code == 202, answer.text
    document = answer.json()["documents"][0]["document_id"]
    assert _final(api, document)["status"] == "indexed"
    assert document in _found(api, "conduit to the turbine")

    assert api.delete(f"/v1/documents/{document}").status_code == 202
    assert document not in _found(api, "conduit to the turbine"), "gone from answers at once"
    until(
        lambda: True if api.get(f"/v1/documents/{document}").status_code in {404, 410} else None,
        seconds=SECONDS,
        what="the document is gone",
    )


def test_a_document_in_the_drop_folder_is_found_and_goes_with_its_object(stack: Deployed, api: httpx.Client) -> None:
    s3 = boto3.client("s3", region_name="us-east-1")
    key = f"drop/{TENANT}/manuals/culvert.md"
    s3.put_object(Bucket=stack.bucket, Key=key, Body=_page("culvert"))

    def listed() -> str | None:
        found = [each for each in api.get("/v1/documents").json()["documents"] if each["name"] == "culvert.md"]
        return found[0]["document_id"] if found else None

    document = until(listed, seconds=SECONDS, what="the arrival is taken in")
    assert _final(api, document)["status"] == "indexed"
    assert document in _found(api, "culvert to the turbine")

    s3.delete_object(Bucket=stack.bucket, Key=key)
    until(
        lambda: True if document not in _found(api, "culvert to the turbine") else None,
        seconds=SECONDS,
        what="the document is not found any more",
    )


def test_a_binary_file_comes_back_byte_for_byte(api: httpx.Client) -> None:
    """No gateway on the way takes it for text."""
    content = next((ROOT / "samples").glob("*.pdf")).read_bytes()
    answer = api.post("/v1/documents", files={"files": ("original.pdf", content, "application/pdf")})
    assert answer.status_code == 202, answer.text
    document = answer.json()["documents"][0]["document_id"]
    assert _final(api, document)["status"] == "indexed"
    link = api.get(f"/v1/documents/{document}/file", follow_redirects=False)
    assert httpx.get(link.headers["location"], trust_env=False).content == content


def test_a_document_in_work_is_cancelled_and_retried(stack: Deployed, api: httpx.Client) -> None:
    answer = api.post("/v1/documents", files={"files": ("long.pdf", long_pdf(1_500), "application/pdf")})
    assert answer.status_code == 202, answer.text
    (entered,) = answer.json()["documents"]
    document = entered["document_id"]

    def begun() -> bool | None:
        return api.get(f"/v1/documents/{document}").json()["status"] in {"extracting", "embedding"} or None

    until(begun, seconds=SECONDS, what="somebody works on it")
    answer = api.post(f"/v1/documents/{document}/cancel")
    assert answer.status_code == 202, answer.text
    assert _final(api, document)["status"] == "cancelled"
    task = api.get(f"/v1/tasks/{entered['task_id']}").json()
    assert (task["state"], task["reason"]) == ("REVOKED", "cancelled")
    s3 = boto3.client("s3", region_name="us-east-1")
    assert s3.list_objects_v2(Bucket=stack.bucket, Prefix=f"work/{TENANT}/{document}/")["KeyCount"] == 0
    answer = api.post(f"/v1/documents/{document}/retry")
    assert answer.status_code == 202, answer.text
    assert _final(api, document)["status"] == "indexed"


def test_a_message_that_nobody_can_read_is_filed(stack: Deployed) -> None:
    sqs, s3 = boto3.client("sqs", region_name="us-east-1"), boto3.client("s3", region_name="us-east-1")
    sqs.send_message(QueueUrl=json.loads(stack.outputs["Queues"])["embed-bulk"], MessageBody="no task at all")

    def filed() -> str | None:
        listed = s3.list_objects_v2(Bucket=stack.bucket, Prefix="letters/_/open/embed/").get("Contents", [])
        return listed[0]["Key"] if listed else None

    key = until(filed, seconds=SECONDS, what="the letter is filed")
    letter = json.loads(s3.get_object(Bucket=stack.bucket, Key=key)["Body"].read())
    assert (letter["fate"], letter["body"]) == ("poison", "no task at all")


def test_each_lane_has_a_consumer(api: httpx.Client) -> None:
    for lane in ("express", "standard", "bulk"):
        answer = api.post("/v1/health/task", params={"lane": lane})
        assert answer.is_success, answer.text


_IMPORT = "import sys, importlib; handler, *sys.path[:0] = sys.argv[1:]; importlib.import_module(handler)"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_needs_only_its_package_and_its_layers(stack: Deployed, name: str) -> None:
    """The emulator's own libraries are within reach of what it runs, and would hide that one is missing; here an
    interpreter without any imports the handler."""
    function = FUNCTIONS[name]["Properties"]
    uris = [RESOURCES[layer["Ref"]]["Properties"]["ContentUri"] for layer in function["Layers"]]
    layers = [STATE / "package" / instead_of(uri).name / "content/python" for uri in uris]
    assert all(layer.is_dir() for layer in layers)
    done = subprocess.run(
        [PYTHON, "-I", "-S", "-c", _IMPORT, function["Handler"].rpartition(".")[0], ROOT / "src", *layers],
        env={"AWS_REGION": "us-east-1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_what_holds_data_stays_and_all_else_goes(stack: Deployed) -> None:
    """The last one: it removes the stack."""
    delete_stack()
    functions = boto3.client("lambda", region_name="us-east-1").list_functions()["Functions"]
    assert functions == []
    assert boto3.client("s3", region_name="us-east-1").list_objects_v2(Bucket=stack.bucket)["KeyCount"] > 0
    table = boto3.client("dynamodb", region_name="us-east-1").describe_table(TableName=stack.outputs["Table"])
    assert table["Table"]["ItemCount"] > 0
