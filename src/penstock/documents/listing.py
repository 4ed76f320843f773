"""Browse: a tenant's documents, newest first, page by page."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from penstock.domain.document import Document
from penstock.domain.ids import DocumentId, TenantId
from penstock.domain.status import Status
from penstock.services import Services

Place = tuple[datetime, DocumentId]
"""Where a page ends: accept time and id of the last document that was looked at."""

_BATCH = 100  # what one batched read takes
_LOOKED_AT = 1_000  # per page: a filter that fits almost nothing must not read a whole table in one request


@dataclass(frozen=True, slots=True)
class Listing:
    """One page. It may hold fewer documents than were asked for, even none, while `next` says that there is more."""

    documents: tuple[Document, ...]
    next: Place | None


def list_documents(
    services: Services,
    tenant: TenantId,
    *,
    limit: int,
    before: Place | None = None,
    statuses: Collection[Status] = (),
    sources: Collection[str] = (),
    container: DocumentId | None = None,
) -> Listing:
    """Documents by accept time of their newest generation, newest first, from `before` on, exclusive. Empty filters let
    all through; deleted documents are never listed."""
    found: list[Document] = []
    for _ in range(_LOOKED_AT // _BATCH):
        places = services.documents.newest(tenant, _BATCH, before)
        records = services.documents.read_many(tenant, [document for _, document in places])
        for place in places:
            before = place
            record = records.get(place[1])
            if record is not None and _fits(record, statuses, sources, container):
                found.append(record)
            if len(found) == limit:
                return Listing(tuple(found), None if place == places[-1] and len(places) < _BATCH else place)
        if len(places) < _BATCH:
            return Listing(tuple(found), None)
    return Listing(tuple(found), before)


def _fits(
    record: Document, statuses: Collection[Status], sources: Collection[str], container: DocumentId | None
) -> bool:
    return (
        record.status is not Status.DELETED
        and (not statuses or record.status in statuses)
        and (not sources or record.source in sources)
        and (container is None or record.container == container)
    )
