"""API keys: a key is created once, shown once, and stored as a hash."""

from __future__ import annotations

import hashlib
import hmac
import secrets

from penstock.domain.errors import BadRequest
from penstock.domain.ids import TenantId, tenant_id
from penstock.ports import ApiKey
from penstock.services import Services

PREFIX = "psk"


def create_key(services: Services, tenant: TenantId, label: str) -> str:
    """Create a key and return it in full: `psk.{tenant}.{id}.{secret}`. It cannot be shown again. The key names its
    tenant, so that even its look-up begins with a tenant (I10). The secret has 256 bits, so a plain hash is enough."""
    key, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    services.keys.store(ApiKey(tenant, key, _hash(secret), label, services.clock()))
    return f"{PREFIX}.{tenant}.{key}.{secret}"


def tenant_of_key(services: Services, text: str) -> TenantId | None:
    """The tenant that the key belongs to. It is None if the text is not a Penstock key, or the key is unknown or
    revoked."""
    parts = text.split(".")
    if len(parts) != 4 or parts[0] != PREFIX or not parts[2]:  # noqa: PLR2004 - the four parts above
        return None
    try:
        tenant = tenant_id(parts[1])
    except BadRequest:
        return None
    found = services.keys.find(tenant, parts[2])
    return tenant if found is not None and hmac.compare_digest(found.hash, _hash(parts[3])) else None


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
