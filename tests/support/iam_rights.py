"""The IAM rights that a request to AWS needs: actions as IAM names them, on resources as the template refers to them.

The tables follow the Service Authorization Reference of each service, for the calls that Penstock makes. A call that is
not in them is an error: look it up in the reference and add it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.counting_proxy import Request


@dataclass(frozen=True, order=True)
class Right:
    """The permission for an action on a resource."""

    action: str
    resource: str
    """The resource as `resolved_template.Template` gives it: "Bucket.Arn/files/*", "Table.Arn/index/due",
    "ExtractBulk.Arn"."""


_DYNAMODB = {"GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query", "Scan", "DescribeTable"}
_IN_TRANSACTION = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
}
_SQS = {
    "SendMessage": "SendMessage",
    "SendMessageBatch": "SendMessage",
    "ReceiveMessage": "ReceiveMessage",
    "DeleteMessage": "DeleteMessage",
    "DeleteMessageBatch": "DeleteMessage",
    "ChangeMessageVisibility": "ChangeMessageVisibility",
    "ChangeMessageVisibilityBatch": "ChangeMessageVisibility",
    "GetQueueAttributes": "GetQueueAttributes",
}
_ON_THE_BUCKET = {"HeadBucket": "s3:ListBucket", "ListObjectVersions": "s3:ListBucketVersions"}
_READS = {"GetObject", "HeadObject"}
_PUTS = {"PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"}
_MISSING = 404


def rights(request: Request, status: int, queues: Mapping[str, str]) -> Iterator[Right]:
    """The rights that this request needs.

    Args:
        status: the HTTP status of the answer. S3 answers 404 only to a caller who may list the bucket.
        queues: the logical names of the queues by the last part of their URLs.

    Raises:
        NotImplementedError: the call is not in the table.
    """
    service, _, operation = request.operation.partition(".")
    match service:
        case "S3":
            yield from _s3(operation, request, status)
        case "DynamoDB":
            yield from _dynamodb(operation, json.loads(request.body))
        case "SQS" if operation in _SQS:
            queue = json.loads(request.body)["QueueUrl"].rsplit("/", 1)[-1]
            yield Right(f"sqs:{_SQS[operation]}", f"{queues[queue]}.Arn")
        case _:
            raise NotImplementedError(request.operation)


def _s3(operation: str, request: Request, status: int) -> Iterator[Right]:
    versioned = "versionId" in request.query
    if operation in _ON_THE_BUCKET:
        yield Right(_ON_THE_BUCKET[operation], "Bucket.Arn")
    elif operation in _PUTS:
        yield Right("s3:PutObject", _area(request.key))
    elif operation in _READS:
        yield Right(_read(versioned=versioned), _area(request.key))
    elif operation == "CopyObject":
        source = urlsplit(request.headers["x-amz-copy-source"])
        key = unquote(source.path).strip("/").partition("/")[2]
        yield Right(_read(versioned="versionId" in parse_qs(source.query)), _area(key))
        yield Right("s3:PutObject", _area(request.key))
    elif operation == "PostObject":
        yield Right("s3:PutObject", _area(_found(rb'name="key"\r\n\r\n(.*?)\r\n', request.body)))
    elif operation == "DeleteObject":
        yield from _deletes(request.key, versioned=versioned)
    elif operation == "DeleteObjects":
        for each in re.findall(rb"<Object>(.*?)</Object>", request.body, re.DOTALL):
            yield from _deletes(_found(rb"<Key>(.*?)</Key>", each), versioned=b"<VersionId>" in each)
    else:
        raise NotImplementedError(request.operation)
    if status == _MISSING and operation in {*_READS, "CopyObject"}:
        yield Right("s3:ListBucket", "Bucket.Arn")


def _read(*, versioned: bool) -> str:
    """The right to read a version does not include the right to read the newest one (API reference, GetObject)."""
    return "s3:GetObjectVersion" if versioned else "s3:GetObject"


def _deletes(key: str, *, versioned: bool) -> Iterator[Right]:
    """Deleting always needs s3:DeleteObject, and deleting a version needs s3:DeleteObjectVersion too (API reference,
    DeleteObject)."""
    yield Right("s3:DeleteObject", _area(key))
    if versioned:
        yield Right("s3:DeleteObjectVersion", _area(key))


def _found(pattern: bytes, text: bytes) -> str:
    match = re.search(pattern, text)
    assert match is not None, text[:1000]
    return match[1].decode()


def _area(key: str) -> str:
    """The resource that the template names for this key: only the first part of a key is fixed, the rest is data."""
    return f"Bucket.Arn/{key.partition('/')[0]}/*"


def _dynamodb(operation: str, body: Mapping[str, object]) -> Iterator[Right]:
    match operation, body:
        case "TransactWriteItems", {"TransactItems": [*items]}:
            for (kind,) in items:
                yield Right(f"dynamodb:{_IN_TRANSACTION[kind]}", "Table.Arn")
        case "BatchGetItem", _:
            yield Right("dynamodb:BatchGetItem", "Table.Arn")
        case _, {"IndexName": index}:
            yield Right(f"dynamodb:{operation}", f"Table.Arn/index/{index}")
        case _ if operation in _DYNAMODB:
            yield Right(f"dynamodb:{operation}", "Table.Arn")
        case _:
            raise NotImplementedError(f"DynamoDB.{operation}")
