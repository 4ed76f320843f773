"""Await an upload: give out the form that a file is to be posted with, and store what was announced until it comes."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from penstock.domain.ids import DocumentId, TenantId, derived_id
from penstock.domain.task import Lane
from penstock.domain.upload import AwaitedUpload, UploadId
from penstock.ports import PostPolicy
from penstock.services import Services


@dataclass(frozen=True, slots=True)
class Announced:
    """A file that a caller wants to send directly to the bucket."""

    name: str
    size: int
    content_type: str
    sha256: str | None
    """The SHA-256 of the bytes in hexadecimal, if the caller gave it."""


def await_upload(
    services: Services,
    tenant: TenantId,
    announced: Announced,
    *,
    document: DocumentId | None,
    source: str,
    lane: Lane,
    metadata: Mapping[str, str],
    seconds: int,
) -> tuple[AwaitedUpload, PostPolicy]:
    """Store the awaited upload, and return it with the form that S3 accepts for this many seconds. It is no document
    until the file is in the bucket: S3's event then creates the record.

    Args:
        document: the id of the document. If it is None and the sha256 is known, the id is the one that the same bytes
            would have by HTTPS; otherwise it is the id of the upload.

    Raises:
        Transient: a service did not answer; nothing is awaited.
    """
    now, id_ = services.clock(), UploadId(secrets.token_hex(16))
    if document is None:
        document = derived_id(tenant, source, announced.sha256) if announced.sha256 else DocumentId(id_)
    expires = now + timedelta(seconds=seconds)
    upload = AwaitedUpload(
        tenant=tenant,
        id=id_,
        document=document,
        name=announced.name,
        size=announced.size,
        content_type=announced.content_type,
        source=source,
        announced=now,
        post_until=expires,
        # S3's event may wait in its queue, and a caller may poll late: the item is kept as long as a tombstone.
        expires_at=expires + services.limits.keep_tombstone,
        lane=lane,
        metadata=dict(metadata),
        sha256=announced.sha256,
    )
    policy = services.objects.post_policy(
        tenant,
        upload.key,
        size=announced.size,
        content_type=announced.content_type,
        sha256=announced.sha256,
        seconds=seconds,
    )
    services.uploads.store(upload)
    return upload, policy
