"""Which rights a request to AWS asks for: actions on resources, as IAM names them and as the template refers to them.

The table follows the Service Authorization Reference of each service, for what Penstock calls. A call that is not in it
is an error: it has to be looked up there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.meter import Request


@dataclass(frozen=True, order=True)
class Right:
    """To do this on that."""

    action: str
    resource: str
    """As `Plan` works it out: "Bucket.Arn/files/*", "Table.Arn/index/due", "ExtractBulk.Arn"."""


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
    """What this request needs.

    Args:
        status: of the answer. S3 says that an object is missing only to who may list the bucket.
        queues: logical names of the queues by the end of their URLs.

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
    """Who may read versions need not be allowed to read whatever is the newest (API reference, GetObject)."""
    return "s3:GetObjectVersion" if versioned else "s3:GetObject"


def _deletes(key: str, *, versioned: bool) -> Iterator[Right]:
    """Who deletes must always be allowed s3:DeleteObject, and for a version this too (API reference, DeleteObject)."""
    yield Right("s3:DeleteObject", _area(key))
    if versioned:
        yield Right("s3:DeleteObjectVersion", _area(key))


def _found(pattern: bytes, text: bytes) -> str:
    match = re.search(pattern, text)
    assert match is not None, text[:1000]
    return match[1].decode()


def _area(key: str) -> str:
    """The template names the first part of a key; what follows is data."""
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
