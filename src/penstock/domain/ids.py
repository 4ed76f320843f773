"""The ids of tenants and documents: what is one, and which a document gets whose caller gave none."""

from __future__ import annotations

import hashlib
import re
from typing import NewType

from penstock.domain.errors import BadRequest

TenantId = NewType("TenantId", str)


DocumentId = NewType("DocumentId", str)


_TENANT = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


_DOCUMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def tenant_id(text: str) -> TenantId:
    """
    Raises:
        BadRequest: it is not 1 to 63 of a-z, 0-9 and '-', beginning with a letter or digit.
    """
    if not is_tenant_id(text):
        raise BadRequest(why=f"{text!r} is no tenant id: use 1 to 63 of a-z, 0-9 and '-', a letter or digit first.")
    return TenantId(text)


def is_tenant_id(text: str) -> bool:
    return _TENANT.fullmatch(text) is not None


def document_id(text: str) -> DocumentId:
    """
    Raises:
        BadRequest: it is not 1 to 128 of A-Z, a-z, 0-9, '.', '_' and '-', beginning with a letter or digit.
    """
    if not _DOCUMENT.fullmatch(text):
        raise BadRequest(
            why=f"{text!r} is no document id: use 1 to 128 of A-Z, a-z, 0-9, '.', '_' and '-', a letter or digit first."
        )
    return DocumentId(text)


def derived_id(*identity: str) -> DocumentId:
    """The id of a document whose caller gave none: a hash of what identifies it, the tenant first."""
    return DocumentId(hashlib.sha256("\0".join(identity).encode()).hexdigest()[:32])
