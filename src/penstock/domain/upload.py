"""The awaited upload: a file that a caller has announced, and sends to the bucket by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NewType

from penstock.domain.document import milliseconds
from penstock.domain.ids import DocumentId, TenantId
from penstock.domain.task import Lane, Operation, TaskId

UploadId = NewType("UploadId", str)

LARGEST = 5_000_000_000
"""The maximum size of a file, in bytes. S3 takes 5 GB by one POST, and copies 5 GB by one request."""


@dataclass(frozen=True, slots=True)
class AwaitedUpload:
    """An announced upload. It is an item of its own until `expires_at`. It is changed once, by the S3 event of its
    file."""

    tenant: TenantId
    id: UploadId
    document: DocumentId
    """The document that the file will be. Its id is known from the start."""
    name: str
    size: int
    content_type: str
    source: str
    announced: datetime
    post_until: datetime
    """When S3 stops accepting the file."""
    expires_at: datetime
    """When the upload is forgotten."""
    lane: Lane = Lane.STANDARD
    metadata: Mapping[str, str] = field(default_factory=dict)
    sha256: str | None = None
    """The sha256 that the caller announced, in hexadecimal. The POST policy names it, so S3 has checked it."""
    generation: int | None = None
    """The generation of its document that the file became, or was already. None while the file is awaited."""
    sequencer: str | None = None
    """The sequencer of the latest S3 event that was handled."""

    @property
    def key(self) -> str:
        """The key that the file is sent to."""
        return f"uploads/{self.tenant}/{self.id}/file"

    @property
    def task(self) -> TaskId:
        return TaskId(Operation.UPLOAD, milliseconds(self.announced), self.id)
