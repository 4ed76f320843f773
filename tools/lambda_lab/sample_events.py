"""The sample events in events/: the records that each needs, the answer that it gets, and the documents that it
leaves."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

from penstock.documents.listing import list_documents
from penstock.documents.receive import Upload, receive_upload
from penstock.documents.remove import request_removal
from penstock.domain.ids import DocumentId, TenantId
from penstock.domain.status import Status
from penstock.domain.task import Lane, Message, Stage
from penstock.lambdas.arrivals import make_handler
from penstock.pipeline.run import run
from penstock.ports import ApiKey
from penstock.records.shard_lease import take_embed
from penstock.services import Services
from penstock.wiring import now

TENANT = TenantId("acme")
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
"""The time of all events. It is also the generation that they name."""
_GENERATION = int(MOMENT.timestamp() * 1000)
_WEIR, _SLUICE = DocumentId("weir"), DocumentId("sluice")
_FILE = Path("samples/operations-handbook.pdf")


def _nothing(_: Services) -> None: ...


@dataclass(frozen=True, slots=True)
class Sample:
    """A file in events/, and the expected outcome of its event."""

    event: str
    function: str
    """The logical name of the function in the template."""
    answer: str
    """The expected answer, as `shown` shortens it."""
    again: str = ""
    """The expected answer when the same event is delivered again, as SQS may do. If it is empty, the answer is the
    same."""
    before: Callable[[Services], None] = _nothing
    """Creates the records that the event is about, at `MOMENT`."""
    leaves: Mapping[str, Status] = field(default_factory=dict)
    """The status of the tenant's documents after the event, by file name."""


def shown(content: Any) -> str:
    """The answer in a few words."""
    if "statusCode" in content:
        return str(content["statusCode"])
    if "batchItemFailures" in content:
        return "kept " + (" ".join(each["itemIdentifier"] for each in content["batchItemFailures"]) or "none")
    return " ".join(f"{name} {value}" for name, value in content.items())


def documents(services: Services) -> Mapping[str, Status]:
    """The status of the tenant's documents, by file name."""
    return {each.original.name: each.status for each in list_documents(services, TENANT, limit=100).documents}


def _events(name: str) -> Any:
    return json.loads(Path("events", f"{name}.json").read_bytes())


def _key(services: Services) -> None:
    """Store the API key that the sample upload sends."""
    _, tenant, ident, secret = _events("api-upload")["headers"]["authorization"].split(".")
    hashed = hashlib.sha256(secret.encode()).hexdigest()
    services.keys.store(ApiKey(TenantId(tenant), ident, hashed, "sample", services.clock()))


def receive(services: Services, document: DocumentId, file: Path = _FILE) -> None:
    """Receive a sample document under this id."""
    content = file.read_bytes()
    upload = Upload(BytesIO(content), f"{document}{file.suffix}", len(content), _sha256(content), None)
    receive_upload(services, TENANT, upload, document=document, source="wiki", lane=Lane.STANDARD, metadata={})


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _weir(services: Services) -> None:
    receive(services, _WEIR)


def _extract(services: Services, document: DocumentId) -> None:
    message = Message(Stage.EXTRACT, TENANT, document, _GENERATION)
    run(services, message, lambda *_: nullcontext())


def _one_shard_left(services: Services) -> None:
    """Leave one shard of two documents. The event completes the first; the last shard of the second is leased by
    another worker."""
    small = replace(services, limits=replace(services.limits, chunk_chars=400, overlap_chars=40, shard_chunks=8))
    for document in (_WEIR, _SLUICE):
        receive(small, document)
        _extract(small, document)
        record = services.documents.read(TENANT, document)
        assert record is not None
        build = services.documents.read_build(TENANT, document, record.build_id)
        assert build is not None
        assert build.total is not None
        for shard in range(1, build.total):
            message = Message(Stage.EMBED, TENANT, document, _GENERATION, build=1, shard=shard)
            run(small, message, lambda *_: nullcontext())
    busy = replace(services, clock=now, limits=replace(services.limits, lease=timedelta(hours=1)))
    take_embed(busy, Message(Stage.EMBED, TENANT, _SLUICE, _GENERATION, build=1, shard=0))


def _removal_requested(services: Services) -> None:
    _weir(services)
    _extract(services, _WEIR)
    request_removal(services, TENANT, _WEIR)


def _dead_lettered(services: Services) -> None:
    _weir(services)
    receive(services, _SLUICE)
    request_removal(services, TENANT, _SLUICE)


def _arrived(services: Services) -> None:
    make_handler(services)(_events("arrivals-created"), None)


_S = Status
SAMPLES = (
    Sample("api-alive", "ApiFunction", "200"),
    Sample("api-upload", "ApiFunction", "202", before=_key, leaves={"weir.txt": _S.QUEUED}),
    Sample("arrivals-created", "ArrivalsFunction", "kept none", leaves={"Mühle am Bach.txt": _S.QUEUED}),
    Sample(
        "arrivals-removed",
        "ArrivalsFunction",
        "kept none",
        before=_arrived,
        leaves={"Mühle am Bach.txt": _S.DELETING},
    ),
    Sample("stages-extract", "ExtractFunction", "kept none", before=_weir, leaves={"weir.pdf": _S.INDEXED}),
    Sample(
        "stages-embed",
        "EmbedFunction",
        "kept a2001392-88b2-53b2-b310-f675a5c23880",
        before=_one_shard_left,
        leaves={"weir.pdf": _S.INDEXED, "sluice.pdf": _S.EMBEDDING},
    ),
    Sample("stages-delete", "DeleteFunction", "kept none", before=_removal_requested),
    Sample(
        "dead-letters",
        "DeadLettersFunction",
        "kept none",
        before=_dead_lettered,
        leaves={"weir.pdf": _S.FAILED, "sluice.pdf": _S.DELETING, "race.txt": _S.QUEUED},
    ),
    Sample("sweep", "SweepFunction", "swept 1", again="swept 0", before=_weir, leaves={"weir.pdf": _S.QUEUED}),
)
