"""Cleanup: remove the chunks and work files of attempts that no reader sees."""

from __future__ import annotations

from contextlib import suppress

from penstock.domain.build import Build
from penstock.domain.document import Document
from penstock.domain.errors import Conflict
from penstock.domain.ids import BuildId
from penstock.records.compare_and_set import delete_build
from penstock.records.work_files import FOLDERS, attempts_in, discard, shard_folder
from penstock.services import Services


def clear_stale(services: Services, record: Document) -> None:
    """Remove from the index what no reader sees of a record whose attempt has ended: older builds, and attempts that
    failed. A later attempt may be writing already; its chunks are newer than all of these, and stay."""
    end = BuildId(record.generation, record.build + 1)
    services.index.clear(
        record.tenant, record.id, older_than=end, keep=record.active.build_id if record.active else None
    )


def clear_files(services: Services, record: Document) -> None:
    """Remove the work files and receipts of a record whose attempt has ended, except the receipt of the active build.
    What a later attempt writes stays.

    Raises:
        Conflict: the build item was changed meanwhile.
    """
    end = BuildId(record.generation, record.build + 1)
    remove_files(services, record, older_than=end, keep_receipt=record.active.build_id if record.active else None)


def remove_files(
    services: Services, record: Document, *, older_than: BuildId, keep_receipt: BuildId | None = None
) -> None:
    """Remove the work files and receipts of the builds of a document that are older than this one, and the newest build
    item.

    Raises:
        Conflict: the build item was changed meanwhile.
    """
    for folder in FOLDERS:
        for build_id, location in attempts_in(services, record, folder):
            if build_id < older_than and (folder, build_id) != ("receipts", keep_receipt):
                discard(services, record.tenant, location)
    build = services.documents.read_build(record.tenant, record.id, record.build_id)
    if build is not None:
        delete_build(services, build)


def remove_work_files(services: Services, built: Document, build: Build) -> None:
    """Remove the work files of a published build, and its build item. The item goes last: while it is there, a
    redelivered message removes them again. What is left even so, the bucket's lifecycle and the table's TTL remove.

    Raises:
        Transient: they are not removed.
    """
    services.objects.remove_all(built.tenant, shard_folder(built))
    with suppress(Conflict):  # another worker removes it
        delete_build(services, build)
