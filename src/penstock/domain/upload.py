"""The awaited upload: what a caller said of a file that it will itself send to the bucket."""

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
"""Bytes. S3 takes 5 GB by one POST, and copies as much by one request."""


@dataclass(frozen=True, slots=True)
class AwaitedUpload:
    """An item of its own, from the moment that it is announced until its `ends`. Changed once: by the S3 event of its
    file, which says what it became."""

    tenant: TenantId
    id: UploadId
    document: DocumentId
    """What its bytes will be: known from the beginning."""
    name: str
    size: int
    content_type: str
    source: str
    announced: datetime
    post_until: datetime
    """Until when S3 takes the file."""
    expires_at: datetime
    """When nothing is known of it any more."""
    lane: Lane = Lane.STANDARD
    metadata: Mapping[str, str] = field(default_factory=dict)
    sha256: str | None = None
    """As the caller says; the policy binds it, so S3 has checked it."""
    generation: int | None = None
    """Which one of its document it became, or was already; None while the file is awaited."""
    sequencer: str | None = None
    """Of the S3 event that has been seen to, the latest."""

    @property
    def key(self) -> str:
        """Where the file is to be sent."""
        return f"uploads/{self.tenant}/{self.id}/file"

    @property
    def task(self) -> TaskId:
        return TaskId(Operation.UPLOAD, milliseconds(self.announced), self.id)
