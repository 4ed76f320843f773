"""An object store in memory."""

from __future__ import annotations

import base64
import hashlib
import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from typing import BinaryIO
from urllib.parse import quote

from penstock.domain.errors import ForeignKey, OriginalMissing
from penstock.domain.ids import TenantId
from penstock.ports import Listed, PostPolicy, Stored

BLOCK = 1 << 20


@dataclass(frozen=True)
class Version:
    stored: Stored
    content: bytes | None
    """The bytes. They are None for a delete marker."""
    at: datetime


class FakeObjectStore:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self.clock: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.objects: dict[str, list[Version]] = {}
        """The versions of each key, the oldest first."""

    def put(self, tenant: TenantId, key: str, content: BinaryIO, *, content_type: str | None = None) -> Stored:
        _check_owner(tenant, key)
        body = content.read()
        etag = hashlib.md5(body, usedforsecurity=False).hexdigest()
        with self._lock:
            stored = Stored(key, f"v{next(self._numbers)}", len(body), etag)
            self.objects.setdefault(key, []).append(Version(stored, body, self.clock()))
        return stored

    def mark_deleted(self, key: str) -> None:
        """Add a delete marker, as a DELETE without a version does in a versioned bucket."""
        with self._lock:
            marker = Stored(key, f"v{next(self._numbers)}", 0, "")
            self.objects.setdefault(key, []).append(Version(marker, None, self.clock()))

    @contextmanager
    def get(self, tenant: TenantId, key: str, version: str | None = None) -> Iterator[Iterator[bytes]]:
        _check_owner(tenant, key)
        with self._lock:
            versions = self.objects.get(key, [])
            wanted = [each for each in versions if each.stored.version == version] if version else versions[-1:]
        if not wanted or wanted[0].content is None:
            raise OriginalMissing
        content = wanted[0].content
        yield (content[start : start + BLOCK] for start in range(0, len(content), BLOCK))

    def link(self, tenant: TenantId, key: str, version: str, *, name: str, seconds: int) -> str:
        _check_owner(tenant, key)
        return f"https://objects.test/{quote(key)}?version={quote(version)}&name={quote(name)}&seconds={seconds}"

    def post_policy(
        self, tenant: TenantId, key: str, *, size: int, content_type: str, sha256: str | None, seconds: int
    ) -> PostPolicy:
        """A policy whose fields hold the conditions that `post` checks."""
        _check_owner(tenant, key)
        fields = {"key": key, "Content-Type": content_type, "x-size": str(size), "x-seconds": str(seconds)}
        if sha256 is not None:
            fields["x-amz-checksum-sha256"] = base64.b64encode(bytes.fromhex(sha256)).decode()
        return PostPolicy("https://objects.test/", fields)

    def post(self, policy: PostPolicy, content: bytes) -> Stored | None:
        """Store a posted form as S3 does. Returns None if the policy does not allow it."""
        checksum = base64.b64encode(hashlib.sha256(content).digest()).decode()
        if len(content) != int(policy.fields["x-size"]):
            return None
        if policy.fields.get("x-amz-checksum-sha256", checksum) != checksum:
            return None
        key = policy.fields["key"]
        return self.put(TenantId(key.split("/")[1]), key, BytesIO(content), content_type=policy.fields["Content-Type"])

    def copy(self, tenant: TenantId, stored: Stored, to: str) -> Stored:
        _check_owner(tenant, to)
        with self.get(tenant, stored.key, stored.version) as blocks:
            return self.put(tenant, to, BytesIO(b"".join(blocks)))

    def remove(self, tenant: TenantId, key: str, version: str | None = None) -> int:
        _check_owner(tenant, key)
        with self._lock:
            versions = self.objects.get(key, [])
            ends = {each.stored.version: end for end, each in enumerate(versions, 1) if each.content is not None}
            end = len(versions) if version is None else ends.get(version, 0)
            kept = versions[end:]
            if any(each.content is not None for each in kept):
                self.objects[key] = kept
            else:
                self.objects.pop(key, None)
        return sum(each.content is not None for each in versions[:end])

    def listed(self, tenant: TenantId, prefix: str) -> Iterator[Listed]:
        _check_owner(tenant, prefix)
        with self._lock:
            keys = sorted((key for key in self.objects if key.startswith(prefix)), key=str.encode)
        for key in keys:
            with self._lock:
                versions = list(self.objects.get(key, []))
            for each in reversed(versions):
                stored, latest = each.stored, each is versions[-1]
                yield Listed(key, stored.version, stored.size, stored.etag, each.at, latest, each.content is None)

    def tenants(self) -> set[str]:
        with self._lock:
            return {key.split("/")[1] for key in self.objects if key.count("/") > 1}

    def remove_all(self, tenant: TenantId, prefix: str) -> int:
        _check_owner(tenant, prefix)
        if not prefix.endswith("/"):
            raise ValueError(prefix)
        with self._lock:
            gone = [self.objects.pop(key) for key in list(self.objects) if key.startswith(prefix)]
        return sum(each.content is not None for versions in gone for each in versions)

    def check(self) -> None:
        pass


def _check_owner(tenant: TenantId, key: str) -> None:
    parts = key.split("/", 2)
    if len(parts) < 3 or parts[1] != tenant:
        raise ForeignKey(key=key, tenant=tenant)
