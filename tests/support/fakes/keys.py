"""API keys in memory."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.domain.ids import TenantId
from penstock.ports import ApiKey


class FakeKeyTable:
    def __init__(self) -> None:
        self._keys: dict[tuple[TenantId, str], ApiKey] = {}

    def store(self, key: ApiKey) -> None:
        self._keys[key.tenant, key.id] = key

    def find(self, tenant: TenantId, key: str) -> ApiKey | None:
        return self._keys.get((tenant, key))

    def of(self, tenant: TenantId) -> Sequence[ApiKey]:
        return [key for _, key in sorted(self._keys.items()) if key.tenant == tenant]

    def revoke(self, tenant: TenantId, key: str) -> bool:
        return self._keys.pop((tenant, key), None) is not None
