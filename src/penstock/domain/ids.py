"""The ids of tenants and documents: what makes a valid one, and how an id is derived where the caller gives none."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import NewType

from penstock.domain.errors import BadRequest

TenantId = NewType("TenantId", str)
DocumentId = NewType("DocumentId", str)

_TENANT = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_DOCUMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True, slots=True, order=True)
class BuildId:
    """The id of a build: a generation of a document, and the number of one cutting of it into chunks. Readers see the
    chunks of exactly one build, the active one. A later build of the same document compares as greater."""

    generation: int
    build: int

    def __str__(self) -> str:
        return f"{self.generation}.{self.build}"


def tenant_id(text: str) -> TenantId:
    """The tenant id that this text is.

    Raises:
        BadRequest: it is not 1 to 63 of a-z, 0-9 and '-', beginning with a letter or digit.
    """
    if not is_tenant_id(text):
        raise BadRequest(why=f"{text!r} is not a tenant id: use 1 to 63 of a-z, 0-9 and '-', a letter or digit first.")
    return TenantId(text)


def is_tenant_id(text: str) -> bool:
    return _TENANT.fullmatch(text) is not None


def document_id(text: str) -> DocumentId:
    """The document id that this text is.

    Raises:
        BadRequest: it is not 1 to 128 of A-Z, a-z, 0-9, '.', '_' and '-', beginning with a letter or digit.
    """
    if not _DOCUMENT.fullmatch(text):
        allowed = "1 to 128 of A-Z, a-z, 0-9, '.', '_' and '-', a letter or digit first"
        raise BadRequest(why=f"{text!r} is not a document id: use {allowed}.")
    return DocumentId(text)


def derived_id(*identity: str) -> DocumentId:
    """The id of a document whose caller gave none: 32 hexadecimal digits of the sha256 of what identifies it, tenant
    first."""
    return DocumentId(hashlib.sha256("\0".join(identity).encode()).hexdigest()[:32])
