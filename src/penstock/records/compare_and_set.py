"""Revise: read an item, decide, write it if it still is as it was read; decide again where it is not (I2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from penstock.domain.build import Build
from penstock.domain.document import BuildId, Document
from penstock.domain.errors import BeingDeleted, Conflict, Deleted, Fenced, NotFound, Transient
from penstock.domain.ids import DocumentId, TenantId
from penstock.domain.status import Status
from penstock.ports import Change
from penstock.services import Services

T = TypeVar("T", Document, Build)

_TRIES = 50  # each lost race means that another writer got on; only a livelock would need more


def update_record(
    services: Services,
    tenant: TenantId,
    document: DocumentId,
    decide: Callable[[Document | None], Document | None],
) -> tuple[Document | None, Document | None]:
    """The record before and after `decide`, which may see several readings and so has no effects of its own. Where
    that returns what it was given, nothing is written.

    Raises:
        Transient: others were always faster.
        whatever `decide` raises: nothing was written then.
    """
    return update_known_record(services, tenant, document, services.documents.read(tenant, document), decide)


def update_known_record(
    services: Services,
    tenant: TenantId,
    document: DocumentId,
    known: Document | None,
    decide: Callable[[Document | None], Document | None],
) -> tuple[Document | None, Document | None]:
    """The same for a caller who has read the record: `known`, or None for that there is none. Where that is still
    true, it costs no read."""
    before = known
    for _ in range(_TRIES):
        after = decide(before)
        if after is before:
            return before, before
        try:
            services.documents.write(tenant, Change(before, after))
        except Conflict:
            before = services.documents.read(tenant, document)
            continue
        return before, None if after is None else replace(after, revision=next_revision(before))
    raise Transient(why="the record is written to by too many at once")


def existing_record(record: Document | None, document: DocumentId) -> Document:
    """The record, where it is of a document that stays.

    Raises:
        NotFound, Deleted, BeingDeleted: there is no such document, no more, or soon no more.
    """
    if record is None:
        raise NotFound(what="document", id=document)
    if record.status is Status.DELETED:
        raise Deleted(document=document)
    if record.status is Status.DELETING:
        raise BeingDeleted(document=document)
    return record


def update_build(
    services: Services, tenant: TenantId, document: DocumentId, build_id: BuildId, decide: Callable[[Build], Build]
) -> Build:
    """The build item after `decide`.

    Raises:
        Fenced: there is no such build any more.
        Transient: others were always faster.
    """
    for _ in range(_TRIES):
        before = services.documents.read_build(tenant, document, build_id)
        if before is None:
            raise Fenced
        after = decide(before)
        if after is before:
            return before
        try:
            services.documents.write(tenant, Change(before, after))
        except Conflict:
            continue
        return replace(after, revision=next_revision(before))
    raise Transient(why="the build is written to by too many at once")


def next_revision(before: Document | Build | None) -> int:
    """What the table stores with the write that follows this reading."""
    return 1 if before is None else before.revision + 1


def update_record_and_build(
    services: Services,
    tenant: TenantId,
    document: DocumentId,
    build_id: BuildId,
    decide: Callable[[Document | None, Build | None], tuple[Document, Build]],
) -> tuple[Document, Build]:
    """Record and build after `decide`: in one transaction, if it changes both. What it returns as it was given is not
    written, and so not made sure of either.

    Raises:
        Transient: others were always faster.
        whatever `decide` raises: nothing was written then.
    """
    for _ in range(_TRIES):
        record, build = services.documents.read_both(tenant, document, build_id)
        record_after, build_after = decide(record, build)
        decided = (record, record_after), (build, build_after)
        try:
            services.documents.write(tenant, *(Change(*each) for each in decided if each[1] is not each[0]))
        except Conflict:
            continue
        return _as_written(record, record_after), _as_written(build, build_after)
    raise Transient(why="record and build are written to by too many at once")


def _as_written(before: T | None, after: T) -> T:
    return after if after is before else replace(after, revision=next_revision(before))
