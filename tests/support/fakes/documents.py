"""A document table in memory."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from penstock.domain.build import Build
from penstock.domain.document import Document
from penstock.domain.errors import Conflict, ForeignKey
from penstock.domain.ids import BuildId, DocumentId, TenantId
from penstock.domain.status import Status
from penstock.ports import Change, Item

Key = tuple[str, str, BuildId | None]


class FakeDocumentTable:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.items: dict[Key, Item] = {}

    def read(self, tenant: TenantId, document: DocumentId) -> Document | None:
        with self._lock:
            found = self.items.get((tenant, document, None))
        assert not isinstance(found, Build)
        return found

    def read_many(self, tenant: TenantId, documents: Sequence[DocumentId]) -> Mapping[DocumentId, Document]:
        found = ((each, self.read(tenant, each)) for each in documents)
        return {each: document for each, document in found if document is not None}

    def read_build(self, tenant: TenantId, document: DocumentId, build_id: BuildId) -> Build | None:
        with self._lock:
            found = self.items.get((tenant, document, build_id))
        assert not isinstance(found, Document)
        return found

    def read_both(
        self, tenant: TenantId, document: DocumentId, build_id: BuildId
    ) -> tuple[Document | None, Build | None]:
        return self.read(tenant, document), self.read_build(tenant, document, build_id)

    def write(self, tenant: TenantId, *changes: Change) -> None:
        keys = [_key_of(tenant, change) for change in changes]
        if len(set(keys)) != len(keys):
            raise ValueError("there is more than one change of an item")
        with self._lock:
            for key, change in zip(keys, changes, strict=True):
                if _version(self.items.get(key)) != _version(change.before):
                    raise Conflict
            for key, change in zip(keys, changes, strict=True):
                if change.after is None:
                    del self.items[key]
                else:
                    revision = change.before.revision + 1 if change.before else 1
                    self.items[key] = replace(change.after, revision=revision)

    def newest(
        self, tenant: TenantId, limit: int, before: tuple[datetime, DocumentId] | None = None
    ) -> Sequence[tuple[datetime, DocumentId]]:
        with self._lock:
            listed = [
                (item.accepted, item.id)
                for item in self.items.values()
                if isinstance(item, Document) and item.tenant == tenant and item.status is not Status.DELETED
            ]
        return sorted((each for each in listed if before is None or each < before), reverse=True)[:limit]

    def tenants(self) -> set[TenantId]:
        with self._lock:
            return {
                item.tenant
                for item in self.items.values()
                if isinstance(item, Document) and item.status is not Status.DELETED
            }

    def due(self, now: datetime, limit: int) -> Sequence[tuple[TenantId, DocumentId]]:
        with self._lock:
            due = [
                (item.sweep_at, item.tenant, item.id)
                for item in self.items.values()
                if isinstance(item, Document) and item.sweep_at is not None and item.sweep_at <= now
            ]
        return [(tenant, document) for _, tenant, document in sorted(due)[:limit]]

    def check(self) -> None:
        pass


def _key_of(tenant: TenantId, change: Change) -> Key:
    keys = {_key(item) for item in (change.before, change.after) if item is not None}
    if len(keys) != 1:
        raise ValueError("a change is of more than one item")
    key = keys.pop()
    if key[0] != tenant:
        raise ForeignKey(key="/".join(map(str, key)), tenant=tenant)
    return key


def _key(item: Item) -> Key:
    if isinstance(item, Document):
        return item.tenant, item.id, None
    return item.tenant, item.document, item.build_id


def _version(item: Item | None) -> tuple[int, int] | None:
    if item is None:
        return None
    return (item.generation if isinstance(item, Document) else item.build_id.generation), item.revision
