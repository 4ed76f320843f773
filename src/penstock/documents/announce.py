"""Await an upload: say where a file is to be sent, and keep what was said of it until it comes."""

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
    """A file that somebody wants to send to the bucket by itself."""

    name: str
    size: int
    content_type: str
    sha256: str | None
    """In hexadecimal, where it is known."""


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
    """The item, and the form that S3 will take for so many seconds. Nothing of it is a document before the file is
    there: then S3's event begins its record.

    Without a `document`, its id is the one that the same bytes have by HTTPS if their sha256 is given; else it is
    that of the upload.

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
        # An event may wait in its queue, and whoever polls may come late: as long as a tombstone is kept.
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
