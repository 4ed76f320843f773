"""Onward: see to what follows a stage that is done, in case whoever did it could not."""

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
    """What a redelivery of a finished stage's message is for. Of a finished shard, only to publish what is complete:
    were it to ask for the others, copies would make copies, and none would wait for its back-off. Of what is published,
    to remove the work files that whoever did it could not.

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
    """A document whose shards are all cut: publish it, if they are all done, or else ask for the rest.

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
