"""Eager mode: the whole pipeline in the calling process, for a debugger. It uses no API, no worker and no SQS; bucket,
table and index are the configured ones."""

from __future__ import annotations

import hashlib
import heapq
import itertools
import json
import os
import time
from collections.abc import Iterable, Mapping
from datetime import timedelta
from io import BufferedReader
from pathlib import Path

from pydantic import ValidationError

from penstock.api.models.add_documents import AddForm
from penstock.api.models.tasks import Task
from penstock.celery_app.lease_renewal import renewing
from penstock.cli.local_run import tenant_or_local
from penstock.cli.outcome import Outcome, of_task
from penstock.cli.printing import readable
from penstock.documents.file_names import accepted_type, clean_name
from penstock.documents.progress import task
from penstock.documents.receive import Upload, receive_upload
from penstock.domain.errors import BadRequest, PenstockError, TooLarge, Transient
from penstock.domain.ids import TenantId, document_id, tenant_id
from penstock.domain.task import Lane, Message, Stage
from penstock.pipeline.run import Redeliver, run
from penstock.services import Services
from penstock.settings import Settings
from penstock.wiring import services


class EagerQueue:
    """A queue that keeps messages until `drain` runs them in this process."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._waiting: list[tuple[float, int, Message]] = []

    def send(self, message: Message, lane: Lane, *, delay: timedelta = timedelta(0)) -> None:  # noqa: ARG002
        heapq.heappush(self._waiting, (time.monotonic() + delay.total_seconds(), next(self._numbers), message))

    def dead_letter(self, message: Message, reason: str) -> None:
        """Do nothing: the document's record says what failed, and the queue ends with this process."""

    def dead_letter_counts(self) -> Mapping[Stage, int]:
        """Always empty: no dead letters are kept."""
        return {}

    def ping(self, tenant: TenantId, ping: str, lane: Lane) -> None:
        """Do nothing: eager mode has no worker that could answer."""

    def check(self) -> None:
        """Always succeed: this queue cannot be unreachable."""

    def drain(self, services: Services) -> None:
        """Run all messages, and those that they send, each when it is due, until none is left."""
        while self._waiting:
            due, _, message = heapq.heappop(self._waiting)
            time.sleep(max(0.0, due - time.monotonic()))
            outcome = run(services, message, renewing)
            if isinstance(outcome, Redeliver):
                self.send(message, Lane.STANDARD, delay=outcome.delay)


def eager_add(
    files: Iterable[Path], *, document: str | None, source: str, lane: Lane, metadata: Mapping[str, str]
) -> list[Outcome]:
    """Receive and process the files, one after the other, for the tenant of PENSTOCK_TENANT or of the local run.

    Raises:
        Misconfigured: the environment does not name the bucket and the table.
    """
    _check_fields(source, metadata)
    tenant = tenant_id(tenant_or_local(os.environ.get("PENSTOCK_TENANT")))
    settings, queue = Settings.from_environment(), EagerQueue()
    wired = services(settings, queue=queue)
    named = None if document is None else document_id(document)

    def add(file: Path) -> Outcome:
        try:
            with file.open("rb") as content:
                upload = _upload(settings, file.name, content)
                received = receive_upload(
                    wired, tenant, upload, document=named, source=source, lane=lane, metadata=metadata
                )
        except Transient:
            raise  # the next file would fail in the same way
        except (PenstockError, OSError) as error:
            code = error.code if isinstance(error, PenstockError) else "unreadable_file"
            return Outcome(readable(file), "refused", code=code, message=str(error))
        queue.drain(wired)
        state = Task.of(task(wired, tenant, received.task)).model_dump(mode="json")
        return of_task(readable(file), state, already_here=received.already_here)

    return [add(file) for file in files]


def _check_fields(source: str, metadata: Mapping[str, str]) -> None:
    """Check the fields as the API does.

    Raises:
        BadRequest: the API would refuse one of them.
    """
    try:
        AddForm.model_validate({"source": source, "metadata": json.dumps(dict(metadata))})
    except ValidationError as error:
        reasons = "; ".join(f"{each['loc'][0]}: {each['msg']}" for each in error.errors())
        raise BadRequest(why=f"The API would refuse these fields: {reasons}.") from None


def _upload(settings: Settings, name: str, content: BufferedReader) -> Upload:
    """The upload that the API would make of a file.

    Raises:
        TooLarge, TypeNotAccepted: the API would refuse the file.
    """
    digest = hashlib.file_digest(content, "sha256").hexdigest()
    size = content.tell()
    if size > settings.max_file_bytes:
        raise TooLarge(limit=settings.max_file_bytes)
    content.seek(0)
    cleaned = clean_name(readable(name))
    return Upload(content, cleaned, size, digest, accepted_type(cleaned, None, settings.accepted_types))
