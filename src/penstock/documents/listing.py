"""Listing: a tenant's documents, newest first, page by page."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from penstock.domain.document import Document
from penstock.domain.ids import DocumentId, TenantId
from penstock.domain.status import Status
from penstock.services import Services

Cursor = tuple[datetime, DocumentId]
"""The end of a page: accept time and id of the last document that was examined."""

_BATCH = 100
"""The maximum number of records in one batched read."""
_EXAMINED = 1_000
"""The maximum number of documents that are examined for a page: a filter that matches almost nothing must not read a
whole table in one request."""


@dataclass(frozen=True, slots=True)
class Listing:
    """One page. It may hold fewer documents than the limit, or none, although more follow."""

    documents: tuple[Document, ...]
    next: Cursor | None
    """The cursor of the next page. It is None on the last page."""


def list_documents(
    services: Services,
    tenant: TenantId,
    *,
    limit: int,
    before: Cursor | None = None,
    statuses: Collection[Status] = (),
    sources: Collection[str] = (),
    container: DocumentId | None = None,
) -> Listing:
    """A page of documents, by accept time of their newest generation, newest first. Deleted documents are never listed.

    Args:
        limit: the maximum number of documents on the page.
        before: the cursor at which the previous page ended.
        statuses: only documents with one of these statuses; all if empty.
        sources: only documents of one of these sources; all if empty.
        container: only members of this archive.
    """
    found: list[Document] = []
    for _ in range(_EXAMINED // _BATCH):
        cursors = services.documents.newest(tenant, _BATCH, before)
        records = services.documents.read_many(tenant, [document for _, document in cursors])
        for cursor in cursors:
            before = cursor
            record = records.get(cursor[1])
            if record is not None and _matches(record, statuses, sources, container):
                found.append(record)
            if len(found) == limit:
                return Listing(tuple(found), None if cursor == cursors[-1] and len(cursors) < _BATCH else cursor)
        if len(cursors) < _BATCH:
            return Listing(tuple(found), None)
    return Listing(tuple(found), before)


def _matches(
    record: Document, statuses: Collection[Status], sources: Collection[str], container: DocumentId | None
) -> bool:
    return (
        record.status is not Status.DELETED
        and (not statuses or record.status in statuses)
        and (not sources or record.source in sources)
        and (container is None or record.container == container)
    )
