"""The API's handler: bytes stay intact both ways, and the start is light."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mangum import Mangum

from penstock.api.app import create_app
from penstock.domain.ids import TenantId
from penstock.lambdas.api import TEXT
from penstock.ports import ApiKey
from penstock.settings import Settings
from tests.support.lambda_events import Invocation, sample
from tests.support.paths import ROOT
from tests.support.world import World

HEAVY = {"celery", "kombu", "billiard", "pypdfium2", "pypdf", "charset_normalizer", "wordllama", "openai"}
READERS = {f"penstock.reading.{name}" for name in ("sandbox.child", "registry", "formats.pdf.pdf", "formats.text")}


@pytest.fixture
def gateway(world: World) -> Mangum:
    key = sample("api-upload")["headers"]["authorization"].removeprefix("Bearer ")
    _, tenant, ident, secret = key.split(".")
    services = world.services
    hashed = hashlib.sha256(secret.encode()).hexdigest()
    services.keys.store(ApiKey(TenantId(tenant), ident, hashed, "sample", world.clock()))
    return Mangum(create_app(lambda: services, Settings.from_environment()), lifespan="off", text_mime_types=TEXT)


def answer_of(gateway: Mangum, event: dict[str, Any]) -> dict[str, Any]:
    return gateway(event, Invocation())  # type: ignore[arg-type]


def test_the_bytes_of_an_upload_arrive_as_they_were_sent(world: World, gateway: Mangum) -> None:
    event = sample("api-upload")
    answer = answer_of(gateway, event)
    assert answer["statusCode"] == 202, answer["body"]
    assert not answer["isBase64Encoded"]
    document = json.loads(answer["body"])["documents"][0]
    sent = base64.b64decode(event["body"])
    part = sent.split(b"text/plain\r\n\r\n", 1)[1].rsplit(b"\r\n--", 1)[0]
    with pytest.raises(UnicodeDecodeError):
        part.decode()
    record = world.record(document["document_id"])
    with world.objects.get(TenantId("acme"), record.original.key) as blocks:
        assert b"".join(blocks) == part
    assert record.source == "wiki"


def test_it_lives_without_a_service(gateway: Mangum) -> None:
    answer = answer_of(gateway, sample("api-alive"))
    assert (answer["statusCode"], json.loads(answer["body"])) == (200, {"status": "ok"})


def test_a_problem_is_answered_as_text(gateway: Mangum) -> None:
    event = sample("api-upload")
    event["headers"]["authorization"] = "Bearer nothing"
    answer = answer_of(gateway, event)
    assert (answer["statusCode"], answer["isBase64Encoded"]) == (401, False)
    assert json.loads(answer["body"])["code"] == "unauthorized"


@pytest.mark.invariant("I9")
@pytest.mark.parametrize("name", ["api", "arrivals", "dead_letters", "sweep"])
def test_a_handler_that_runs_no_stage_imports_neither_celery_nor_a_library_that_reads_files(name: str) -> None:
    """Nor does any handler connect or read its environment when it is imported (I9)."""
    program = f"import json, sys, penstock.lambdas.{name}; print(json.dumps(sorted(sys.modules)))"
    run = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(_source())!r}); {program}"],
        env={},
        capture_output=True,
        check=True,
        text=True,
    )
    imported = set(json.loads(run.stdout))
    assert not {module.partition(".")[0] for module in imported} & HEAVY
    assert not imported & READERS


def _source() -> Path:
    return ROOT / "src"
