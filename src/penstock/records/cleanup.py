"""Cleanup: remove the chunks and work files of attempts that no reader sees."""

from __future__ import annotations

from contextlib import suppress

from penstock.domain.build import Build
from penstock.domain.document import BuildId, Document
from penstock.domain.errors import Conflict
from penstock.ports import Change
from penstock.records.work_files import FOLDERS, attempts_in, discard, shard_folder
from penstock.services import Services


def clear_stale(services: Services, record: Document) -> None:
    """Remove what no reader sees of a record whose attempt has ended: older pairs, and attempts that came to nothing.
    What a later attempt may be writing by now is newer than all of these, and stays."""
    end = BuildId(record.generation, record.build + 1)
    services.index.clear(
        record.tenant, record.id, older_than=end, keep=record.active.build_id if record.active else None
    )


def clear_files(services: Services, record: Document) -> None:
    """Remove the work files and receipts of a record whose attempt has ended, but for the receipt of the active pair.
    Like the chunks, bounded by the newest attempt: what a later one writes stays."""
    tenant, shown = record.tenant, record.active.build_id if record.active else None
    for room in FOLDERS:
        for build_id, place in attempts_in(services, record, room):
            if build_id <= record.build_id and (room, build_id) != ("receipts", shown):
                discard(services, tenant, place)
    build = services.documents.read_build(tenant, record.id, record.build_id)
    if build is not None:
        services.documents.write(tenant, Change(build, None))


def remove_work_files(services: Services, built: Document, build: Build) -> None:
    """Work files and the build item have done their work. The item goes last: while it is there, the message that comes
    again is for this. What is left behind even so, lifecycle and TTL remove.

    Raises:
        Transient: they are not removed.
    """
    services.objects.remove_all(built.tenant, shard_folder(built))
    with suppress(Conflict):  # another does the same
        services.documents.write(built.tenant, Change(build, None))
