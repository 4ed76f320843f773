"""Compare and set: read an item, decide, and write it if it still is as it was read; else read and decide again (I2).

Every write of a record or of a build passes through `_write` in this module. A reader of changes can rely on that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from penstock.domain.build import Build
from penstock.domain.document import Document
from penstock.domain.errors import BeingDeleted, Conflict, Deleted, Fenced, NotFound, Transient
from penstock.domain.ids import BuildId, DocumentId, TenantId
from penstock.domain.status import Status
from penstock.ports import Change
from penstock.services import Services

T = TypeVar("T", Document, Build)

_TRIES = 50
"""Each conflict means that another writer made progress, so only a livelock needs more tries."""


def update_record(
    services: Services,
    tenant: TenantId,
    document: DocumentId,
    decide: Callable[[Document | None], Document | None],
) -> tuple[Document | None, Document | None]:
    """Write what `decide` makes of the record, and return the record before and after.

    `decide` may be called with several readings, so it must have no effects of its own. Where it returns what it was
    given, nothing is written. Where it returns None, the record is deleted.

    Raises:
        Transient: other writers were always faster.
        Any error that `decide` raises; nothing was written then.
    """
    return update_known_record(services, tenant, document, services.documents.read(tenant, document), decide)


def update_known_record(
    services: Services,
    tenant: TenantId,
    document: DocumentId,
    known: Document | None,
    decide: Callable[[Document | None], Document | None],
) -> tuple[Document | None, Document | None]:
    """The same for a caller that has read the record already: `known` is what it read, or None where there was none. If
    that is still true, no read is needed."""
    before = known
    for _ in range(_TRIES):
        after = decide(before)
        if after is before:
            return before, before
        if _write(services, tenant, Change(before, after)):
            return before, None if after is None else _as_written(before, after)
        before = services.documents.read(tenant, document)
    raise Transient(why="the record is written to by too many at once")


def update_build(
    services: Services, tenant: TenantId, document: DocumentId, build_id: BuildId, decide: Callable[[Build], Build]
) -> Build:
    """Write what `decide` makes of the build, and return it.

    Raises:
        Fenced: the build no longer exists.
        Transient: other writers were always faster.
    """
    for _ in range(_TRIES):
        before = services.documents.read_build(tenant, document, build_id)
        if before is None:
            raise Fenced
        after = decide(before)
        if after is before or _write(services, tenant, Change(before, after)):
            return _as_written(before, after)
    raise Transient(why="the build is written to by too many at once")


def update_record_and_build(
    services: Services,
    tenant: TenantId,
    document: DocumentId,
    build_id: BuildId,
    decide: Callable[[Document | None, Build | None], tuple[Document, Build]],
) -> tuple[Document, Build]:
    """Write what `decide` makes of record and build, in one transaction if both change, and return them.

    An item that `decide` returns as it was given is not written, and so not compared either.

    Raises:
        Transient: other writers were always faster.
        Any error that `decide` raises; nothing was written then.
    """
    for _ in range(_TRIES):
        record, build = services.documents.read_both(tenant, document, build_id)
        record_after, build_after = decide(record, build)
        decided = (record, record_after), (build, build_after)
        if _write(services, tenant, *(Change(*each) for each in decided if each[1] is not each[0])):
            return _as_written(record, record_after), _as_written(build, build_after)
    raise Transient(why="record and build are written to by too many at once")


def delete_build(services: Services, build: Build) -> None:
    """Delete a build that still is as it was read.

    Raises:
        Conflict: it is not; nothing was deleted.
    """
    if not _write(services, build.tenant, Change(build, None)):
        raise Conflict


def existing_record(record: Document | None, document: DocumentId) -> Document:
    """The record, where its document exists and is not being deleted.

    Raises:
        NotFound, Deleted, BeingDeleted: it does not exist, no longer exists, or is being deleted.
    """
    if record is None:
        raise NotFound(what="document", id=document)
    if record.status is Status.DELETED:
        raise Deleted(document=document)
    if record.status is Status.DELETING:
        raise BeingDeleted(document=document)
    return record


def _write(services: Services, tenant: TenantId, *changes: Change) -> bool:
    """Write all of these changes or none, and return whether they were written. They are not if an item is no longer as
    it was read."""
    try:
        services.documents.write(tenant, *changes)
    except Conflict:
        return False
    return True


def _as_written(before: T | None, after: T) -> T:
    """The item as the table stores it, where it was changed: its revision is the one after the reading's."""
    return after if after is before else replace(after, revision=1 if before is None else before.revision + 1)
