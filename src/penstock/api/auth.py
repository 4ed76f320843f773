"""Authentication: the tenant whose key a request carries."""

from __future__ import annotations

import hashlib
import threading
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from penstock.api.dependencies import ServicesDep
from penstock.documents.api_keys import tenant_of_key
from penstock.domain.errors import Unauthorized
from penstock.domain.ids import TenantId
from penstock.services import Services

KEY_CACHE_TTL = timedelta(seconds=10)
"""How long a key may still be accepted after it was revoked."""
_MAX_KEYS = 1_000

bearer = HTTPBearer(
    auto_error=False, scheme_name="key", description="The key of one tenant. `penstock keys create` makes one."
)


class KeyCache:
    """A cache of keys that were found valid a moment ago, by their hash, so that not every request reads the table."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[bytes, tuple[TenantId, datetime]] = {}

    def tenant(self, services: Services, key: str) -> TenantId:
        """
        Raises:
            Unauthorized: the key is unknown, or was revoked longer than `KEY_CACHE_TTL` ago.
        """
        digest, now = hashlib.sha256(key.encode()).digest(), services.clock()
        with self._lock:
            known = self._known.get(digest)
        if known is not None and now < known[1]:
            return known[0]
        tenant = tenant_of_key(services, key)
        if tenant is None:
            raise Unauthorized
        with self._lock:
            if len(self._known) >= _MAX_KEYS:
                self._known.clear()
            self._known[digest] = tenant, now + KEY_CACHE_TTL
        return tenant


def caller(
    request: Request,
    services: ServicesDep,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
) -> TenantId:
    """
    Raises:
        Unauthorized: the request carries no key, or one that is not valid.
    """
    if credentials is None:
        raise Unauthorized
    cache: KeyCache = request.app.state.keys
    tenant = cache.tenant(services, credentials.credentials)
    request.state.tenant = tenant
    return tenant


CallerTenant = Annotated[TenantId, Depends(caller)]
"""The tenant that the request acts for."""
