"""The object store on S3."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from heapq import merge
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import quote

from botocore.exceptions import ClientError

from penstock.adapters.aws.failures import code_of, translated
from penstock.domain.errors import ForeignKey, Misconfigured, OriginalMissing, PenstockError, Transient
from penstock.domain.ids import TenantId
from penstock.ports import Listed, PostPolicy, Stored

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PART = 16 * 1024 * 1024
"""The size of the parts in which a larger file is stored, in bytes. One part at a time is held in memory. S3 takes
10,000 parts, so files may have up to 156 GiB."""
_BLOCK = 1024 * 1024
_BATCH = 1000  # the maximum number of versions in one DeleteObjects
_MISSING = frozenset({"NoSuchKey", "NoSuchVersion", "MethodNotAllowed", "404"})
_PART_FIELDS = ("ETag", "ChecksumCRC32")
_NO_VERSION = "InvalidArgument"  # how S3 refuses a version id that it could not have made


class S3ObjectStore:
    """An ObjectStore in one versioned bucket on S3."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def put(self, tenant: TenantId, key: str, content: BinaryIO, *, content_type: str | None = None) -> Stored:
        """Store a file by one request if it fits into one part, and otherwise in parts. boto3's own upload does the
        same, but does not return the version that it made; a later query could find the version of another writer."""
        _check_owner(tenant, key)
        target: dict[str, Any] = {"Bucket": self._bucket, "Key": key}
        headers: dict[str, Any] = {"ContentType": content_type} if content_type else {}
        first = _next_part(content)
        with translated("S3"):
            if len(first) < PART:
                answer: Any = self._client.put_object(**target, **headers, Body=first)
                size = len(first)
            else:
                answer, size = self._put_in_parts(target, headers, first, content)
        return self._stored(key, answer, answer, size)

    def _stored(self, key: str, answer: Any, made: Any, size: int) -> Stored:
        version = answer.get("VersionId")
        if version is None:
            raise Misconfigured(why=f"Bucket {self._bucket} has no versions. Turn its versioning on.")
        return Stored(key, version, size, made["ETag"].strip('"'))

    def _put_in_parts(
        self, target: dict[str, Any], headers: dict[str, Any], part: bytes, content: BinaryIO
    ) -> tuple[Any, int]:
        upload = self._client.create_multipart_upload(**target, **headers, ChecksumAlgorithm="CRC32")
        target = {**target, "UploadId": upload["UploadId"]}
        parts: list[Any] = []
        size = 0
        try:
            while part:
                number = len(parts) + 1
                sent: Any = self._client.upload_part(**target, PartNumber=number, Body=part, ChecksumAlgorithm="CRC32")
                parts.append({"PartNumber": number, **{each: sent[each] for each in _PART_FIELDS if each in sent}})
                size += len(part)
                part = _next_part(content)
            return self._client.complete_multipart_upload(**target, MultipartUpload={"Parts": parts}), size
        except BaseException:
            with suppress(PenstockError), translated("S3"):
                self._client.abort_multipart_upload(
                    **target
                )  # otherwise its parts are charged for until S3 clears them
            raise

    @contextmanager
    def get(self, tenant: TenantId, key: str, version: str | None = None) -> Iterator[Iterator[bytes]]:
        _check_owner(tenant, key)
        request: dict[str, Any] = {"Bucket": self._bucket, "Key": key}
        if version is not None:
            request["VersionId"] = version
        with translated("S3"):
            try:
                body = self._client.get_object(**request)["Body"]
            except ClientError as error:
                if code_of(error) in _MISSING or (version is not None and code_of(error) == _NO_VERSION):
                    raise OriginalMissing from error
                raise
        with closing(body):
            yield _blocks(body)

    def link(self, tenant: TenantId, key: str, version: str, *, name: str, seconds: int) -> str:
        _check_owner(tenant, key)
        with translated("S3"):
            return self._client.generate_presigned_url(
                "get_object",
                Params={
                    "Bucket": self._bucket,
                    "Key": key,
                    "VersionId": version,
                    "ResponseContentDisposition": _disposition(name),
                },
                ExpiresIn=seconds,
            )

    def post_policy(
        self, tenant: TenantId, key: str, *, size: int, content_type: str, sha256: str | None, seconds: int
    ) -> PostPolicy:
        _check_owner(tenant, key)
        fields = {"Content-Type": content_type}
        if sha256 is not None:
            digest = base64.b64encode(bytes.fromhex(sha256)).decode()
            fields |= {"x-amz-checksum-algorithm": "SHA256", "x-amz-checksum-sha256": digest}
        conditions: list[Any] = [{name: value} for name, value in fields.items()]
        with translated("S3"):
            made = self._client.generate_presigned_post(
                self._bucket,
                key,
                Fields=fields,
                Conditions=[*conditions, ["content-length-range", size, size]],
                ExpiresIn=seconds,
            )
        # The address that boto3 gives redirects in the first hours of a bucket, unless the region is us-east-1, and a
        # form does not follow redirects. So this is another address; the policy does not bind it.
        return PostPolicy(f"{self._client.meta.endpoint_url}/{self._bucket}", made["fields"])

    def copy(self, tenant: TenantId, stored: Stored, to: str) -> Stored:
        _check_owner(tenant, stored.key)
        _check_owner(tenant, to)
        with translated("S3"):
            try:
                answer: Any = self._client.copy_object(
                    Bucket=self._bucket,
                    Key=to,
                    CopySource={"Bucket": self._bucket, "Key": stored.key, "VersionId": stored.version},
                )
            except ClientError as error:
                if code_of(error) in _MISSING | {_NO_VERSION}:
                    raise OriginalMissing from error
                raise
        return self._stored(to, answer, answer["CopyObjectResult"], stored.size)

    def remove(self, tenant: TenantId, key: str, version: str | None = None) -> int:
        """Delete the oldest version first, and last the version that says which are older: so a removal that was
        interrupted can be repeated. If that version does not exist, none is known to be older, and nothing is
        removed."""
        _check_owner(tenant, key)
        versions: list[Any] = []
        markers: list[Any] = []
        for page in self._listing_pages(key):
            versions += (each for each in page.get("Versions", []) if each["Key"] == key)
            markers += (each for each in page.get("DeleteMarkers", []) if each["Key"] == key)
            if any(each["Key"] != key for each in (*page.get("Versions", []), *page.get("DeleteMarkers", []))):
                break  # S3 lists by key, and this key comes before longer keys that begin with it
        ids = [each["VersionId"] for each in versions]
        newest = 0 if version is None else ids.index(version) if version in ids else len(ids)
        if newest > 0:
            # Markers are listed separately, with times in whole seconds, so only those that are surely older are
            # deleted. A marker that stays does no harm, but deleting one too many could bring back a version that was
            # deleted.
            markers = [each for each in markers if newest < len(ids) and _older(each, versions[newest])]
        to_delete = versions[newest:]
        with translated("S3"):
            for each in (*reversed(to_delete[1:]), *markers, *to_delete[:1]):
                self._client.delete_object(Bucket=self._bucket, Key=key, VersionId=each["VersionId"])
        return len(to_delete)

    def listed(self, tenant: TenantId, prefix: str) -> Iterator[Listed]:
        _check_owner(tenant, prefix)
        for page in self._listing_pages(prefix):
            versions = (_listed(each, marker=False) for each in page.get("Versions", []))
            markers = (_listed(each, marker=True) for each in page.get("DeleteMarkers", []))
            yield from merge(versions, markers, key=lambda each: each.key.encode())

    def tenants(self) -> set[str]:
        return {name.split("/")[1] for area in self._folders("") for name in self._folders(area)}

    def _folders(self, prefix: str) -> Iterator[str]:
        """The folders under a prefix, each with its last slash, including those that only have delete markers."""
        with translated("S3"):
            pages = self._client.get_paginator("list_object_versions").paginate(
                Bucket=self._bucket, Prefix=prefix, Delimiter="/"
            )
            for page in pages:
                yield from (each["Prefix"] for each in page.get("CommonPrefixes", []))

    def remove_all(self, tenant: TenantId, prefix: str) -> int:
        _check_owner(tenant, prefix)
        if not prefix.endswith("/"):
            raise ValueError(prefix)
        removed = 0
        for page in self._listing_pages(prefix):
            versions, markers = page.get("Versions", []), page.get("DeleteMarkers", [])
            self._remove_batch([*versions, *markers])
            removed += len(versions)
        return removed

    def _listing_pages(self, prefix: str) -> Iterator[Any]:
        """The pages of versions and delete markers, by key, the newest first."""
        with translated("S3"):
            pages = self._client.get_paginator("list_object_versions").paginate(
                Bucket=self._bucket, Prefix=prefix, PaginationConfig={"PageSize": _BATCH}
            )
            yield from pages

    def _remove_batch(self, versions: list[Any]) -> None:
        if not versions:
            return
        ids: Any = [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in versions]
        with translated("S3"):
            answer = self._client.delete_objects(Bucket=self._bucket, Delete={"Objects": ids, "Quiet": True})
        if errors := answer.get("Errors"):
            raise Transient(why=f"S3 did not delete {len(errors)} objects ({errors[0].get('Code')})")

    def check(self) -> None:
        with translated("S3"):
            try:
                self._client.head_bucket(Bucket=self._bucket)
            except ClientError as error:
                if code_of(error) not in {"301", "400", "403", "404"}:
                    raise
                raise Misconfigured(
                    why=f"Bucket {self._bucket!r} does not exist, or may not be read (S3 answered {code_of(error)})."
                ) from error


def _check_owner(tenant: TenantId, key: str) -> None:
    """
    Raises:
        ForeignKey: the second part of the key is not this tenant (I10).
    """
    parts = key.split("/", 2)
    if len(parts) < 3 or parts[1] != tenant:  # noqa: PLR2004 - area/tenant/rest
        raise ForeignKey(key=key, tenant=tenant)


def _next_part(content: BinaryIO) -> bytes:
    """The next part. It is full unless the content ends in it: one read of a pipe may return less than it could."""
    blocks: list[bytes] = []
    missing = PART
    while missing and (block := content.read(missing)):
        blocks.append(block)
        missing -= len(block)
    return b"".join(blocks)


def _blocks(body: Any) -> Iterator[bytes]:
    with translated("S3"):
        yield from body.iter_chunks(_BLOCK)


def _listed(each: Any, *, marker: bool) -> Listed:
    etag = each.get("ETag", "").strip('"')
    return Listed(
        each["Key"], each["VersionId"], each.get("Size", 0), etag, each["LastModified"], each["IsLatest"], marker
    )


def _older(marker: Any, version: Any) -> bool:
    return bool(marker["LastModified"] < version["LastModified"])


def _disposition(name: str) -> str:
    """The Content-Disposition by which a browser shows a file and saves it under this name (RFC 6266). The name is
    there in ASCII too, for clients that do not know RFC 5987."""
    plain = "".join(each if each.isascii() and each.isprintable() and each not in '"\\%' else "_" for each in name)
    return f"inline; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
