"""The stage that follows a finished one: a redelivered message makes sure that it is under way."""

from __future__ import annotations

from penstock.domain.document import Document
from penstock.domain.ids import DocumentId, TenantId
from penstock.domain.status import PUBLISHED, Status
from penstock.domain.task import Message, Stage
from penstock.pipeline.publish import publish_build
from penstock.records.cleanup import remove_work_files
from penstock.records.work_files import send_shards
from penstock.services import Services


def send_next_stage(services: Services, message: Message) -> None:
    """Do what a redelivery of a finished stage's message is for: what its first delivery may have left undone.

    - The extract is done: its shards are sent again, or the build is published if all of them are done.
    - A shard is done: the build is published if all of them are done. The other shards are not sent: copies would make
      copies, and none would wait for its back-off.
    - The build is published: its work files are removed.

    Raises:
        Fenced, Transient: as for `publish_build`.
    """
    record = services.documents.read(TenantId(message.tenant), DocumentId(message.document))
    if record is None or record.generation != message.generation:
        return
    if record.status is Status.EMBEDDING:
        continue_build(services, record, resend=message.stage is Stage.EXTRACT)
    elif record.status in PUBLISHED:
        build = services.documents.read_build(record.tenant, record.id, record.build_id)
        if build is not None:
            remove_work_files(services, record, build)


def continue_build(services: Services, record: Document, *, resend: bool = True) -> None:
    """Continue a document whose shards are all cut: publish it if all of them are done, else send the others again.

    Raises:
        Fenced, Transient: as for `publish_build`.
    """
    build = services.documents.read_build(record.tenant, record.id, record.build_id)
    if build is None:
        return
    if build.complete:
        publish_build(services, record, build)
    elif resend:
        send_shards(services, record, build)
