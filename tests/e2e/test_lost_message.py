"""The sweep on the real stack: beat requests it, a worker runs it."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest

from penstock.documents.receive import Upload, receive_upload
from penstock.domain.ids import TenantId
from penstock.domain.task import Lane
from penstock.settings import Settings
from penstock.wiring import services
from tests.e2e.stack import running_stack
from tests.support.fakes.queue import FakeTaskQueue


@pytest.mark.invariant("I6")
def test_a_document_whose_message_was_lost_is_found_all_the_same(
    on_index: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I6: the record was written by a process that ended before it sent the message."""
    with running_stack(tmp_path / "state", **on_index, PENSTOCK_SWEEP_SECONDS="1") as stack:
        for name, value in (stack.environment | {"PENSTOCK_RESEND_SECONDS": "1"}).items():
            monkeypatch.setenv(name, value)
        lossy = replace(services(Settings.from_environment()), queue=FakeTaskQueue())
        body = b"The ferryman's ledger was lost and found again."
        upload = Upload(BytesIO(body), "ledger.txt", len(body), hashlib.sha256(body).hexdigest(), "text/plain")
        received = receive_upload(
            lossy, TenantId("local"), upload, document=None, source="api", lane=Lane.STANDARD, metadata={}
        )
        assert stack.final(received.document.id)["status"] == "indexed"
        assert stack.search("the ledger of the ferryman")["hits"][0]["document_id"] == received.document.id
