"""Awaited uploads in memory."""

from __future__ import annotations

from penstock.domain.ids import TenantId
from penstock.domain.upload import AwaitedUpload, UploadId


class FakeUploadTable:
    def __init__(self) -> None:
        self.items: dict[tuple[TenantId, UploadId], AwaitedUpload] = {}

    def store(self, upload: AwaitedUpload) -> None:
        self.items[upload.tenant, upload.id] = upload

    def find(self, tenant: TenantId, upload: UploadId) -> AwaitedUpload | None:
        return self.items.get((tenant, upload))
