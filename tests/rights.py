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

from tests.meter import Request


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
    version = "Version" if "versionId" in request.query else ""
    match operation:
        case "HeadBucket":
            yield Right("s3:ListBucket", "Bucket.Arn")
        case "ListObjectVersions":
            yield Right("s3:ListBucketVersions", "Bucket.Arn")
        case "GetObject" | "HeadObject":
            yield Right(f"s3:GetObject{version}", _area(request.key))
        case "DeleteObject":
            yield Right(f"s3:DeleteObject{version}", _area(request.key))
        case "DeleteObjects":
            for each in re.findall(rb"<Object>(.*?)</Object>", request.body, re.DOTALL):
                key = re.search(rb"<Key>(.*?)</Key>", each)
                assert key is not None
                yield Right(f"s3:DeleteObject{'Version' if b'<VersionId>' in each else ''}", _area(key[1].decode()))
        case "PostObject":
            key = re.search(rb'name="key"\r\n\r\n(.*?)\r\n', request.body)
            assert key is not None
            yield Right("s3:PutObject", _area(key[1].decode()))
        case "CopyObject":
            source = urlsplit(request.headers["x-amz-copy-source"])
            version = "Version" if "versionId" in parse_qs(source.query) else ""
            yield Right(f"s3:GetObject{version}", _area(unquote(source.path).strip("/").partition("/")[2]))
            yield Right("s3:PutObject", _area(request.key))
        case "AbortMultipartUpload":
            yield Right("s3:AbortMultipartUpload", _area(request.key))
        case _ if operation in _PUTS:
            yield Right("s3:PutObject", _area(request.key))
        case _:
            raise NotImplementedError(request.operation)
    if status == _MISSING and operation in {"GetObject", "HeadObject", "CopyObject"}:
        yield Right("s3:ListBucket", "Bucket.Arn")


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
