"""Auth: whose key a request carries."""

from __future__ import annotations

import hashlib
import threading
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from penstock.api.dependencies import Given
from penstock.documents.api_keys import tenant_of_key
from penstock.domain.errors import Unauthorized
from penstock.domain.ids import TenantId
from penstock.services import Services

REMEMBERED = timedelta(seconds=10)
"""How long a key that was revoked may still be let in."""
_MOST = 1_000

bearer = HTTPBearer(
    auto_error=False, scheme_name="key", description="A key of one tenant, made by `penstock keys create`."
)


class KeyRing:
    """Keys that were found valid a moment ago, by their hash, so that not every call reads the table."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[bytes, tuple[TenantId, datetime]] = {}

    def tenant(self, services: Services, key: str) -> TenantId:
        """
        Raises:
            Unauthorized: the key is unknown, or was revoked more than `REMEMBERED` ago.
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
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[digest] = tenant, now + REMEMBERED
        return tenant


def caller(
    request: Request, services: Given, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]
) -> TenantId:
    """
    Raises:
        Unauthorized: no key, or none of ours.
    """
    if credentials is None:
        raise Unauthorized
    ring: KeyRing = request.app.state.keys
    tenant = ring.tenant(services, credentials.credentials)
    request.state.tenant = tenant
    return tenant


Caller = Annotated[TenantId, Depends(caller)]
"""The tenant that the request acts for."""
