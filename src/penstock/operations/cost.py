"""Cost: the AWS requests that a document takes, and their price by a dated price list.

The numbers are measured: `make bench-requests` counts the requests that are sent, and fails if this module differs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from types import MappingProxyType

import orjson

Requests = Mapping[str, float]
"""The number of requests by `Service.Operation`. It is a mean, so it need not be whole."""

_MILLION = 1e6


class Way(StrEnum):
    """The way by which a file comes in."""

    HTTPS = "https"
    DROP = "drop"
    UPLOAD = "upload"
    """The file is announced by HTTPS, and then posted to the bucket by its sender."""


_BATCH = 10
"""The maximum number of S3 events in one invocation of the arrivals function. The costs assume full batches."""

_RECEIVED: Mapping[Way, Requests] = MappingProxyType(
    {
        Way.HTTPS: {"S3.PutObject": 1, "DynamoDB.GetItem": 1, "DynamoDB.PutItem": 1},
        Way.DROP: {
            "DynamoDB.GetItem": 1,
            "DynamoDB.PutItem": 1,
            "SQS.ReceiveMessage": 1 / _BATCH,
            "SQS.DeleteMessageBatch": 1 / _BATCH,
        },
        Way.UPLOAD: {
            "DynamoDB.GetItem": 2,
            "DynamoDB.PutItem": 3,
            "S3.CopyObject": 1,
            "S3.ListObjectVersions": 1,
            "S3.DeleteObject": 1,
            "SQS.ReceiveMessage": 1 / _BATCH,
            "SQS.DeleteMessageBatch": 1 / _BATCH,
        },
    }
)
"""The requests of receiving a file, up to but without sending its extract message."""

_MESSAGE: Requests = {"SQS.SendMessage": 1, "SQS.ReceiveMessage": 1, "SQS.DeleteMessageBatch": 1}
_ONE_SHARD: Requests = {"DynamoDB.GetItem": 1, "DynamoDB.PutItem": 2, "S3.GetObject": 1}
"""The requests of a document of one shard: claim, read, publish."""
_SHARDS: Requests = {
    "DynamoDB.GetItem": 2,
    "DynamoDB.BatchGetItem": 1,
    "DynamoDB.PutItem": 2,
    "DynamoDB.TransactWriteItems": 1,
    "DynamoDB.DeleteItem": 1,
    "S3.GetObject": 1,
    "S3.ListObjectVersions": 1,
    "S3.DeleteObjects": 1,
}
"""The requests of a document of several shards, without those that each shard takes."""
_EACH_SHARD: Requests = {
    **_MESSAGE,
    "DynamoDB.BatchGetItem": 2,
    "DynamoDB.GetItem": 1,
    "DynamoDB.PutItem": 3,
    "S3.PutObject": 1,
    "S3.GetObject": 1,
}
"""The requests of each shard of a document of several shards, including its message."""

_INDIRECT: Mapping[Way, Requests] = MappingProxyType(
    {
        Way.HTTPS: {"API Gateway.Request": 1, "Lambda.Invoke": 1},
        Way.DROP: {"S3.PutObject": 1, "SQS.SendMessage": 1, "Lambda.Invoke": 1 / _BATCH},
        Way.UPLOAD: {
            "API Gateway.Request": 1,
            "S3.PutObject": 1,
            "SQS.SendMessage": 1,
            "Lambda.Invoke": 1 + 1 / _BATCH,
        },
    }
)
"""Requests that are billed although no Penstock program sends them: those of the API Gateway and of the sender, S3's
event, and invocations."""
_INDEX_WRITES = 3
"""Writes to the table's two indexes: to both when a document is accepted, to one when it is done."""

_PRICED: Mapping[str, tuple[str, float]] = MappingProxyType(
    {
        "API Gateway.Request": ("http_api_request", 1),
        "DynamoDB.BatchGetItem": ("dynamodb_read", 2),
        "DynamoDB.DeleteItem": ("dynamodb_write", 1),
        "DynamoDB.GetItem": ("dynamodb_read", 1),
        "DynamoDB.IndexWrite": ("dynamodb_write", 1),
        "DynamoDB.PutItem": ("dynamodb_write", 1),
        "DynamoDB.Query": ("dynamodb_read", 0.5),
        "DynamoDB.TransactWriteItems": ("dynamodb_write", 4),
        "Lambda.Invoke": ("lambda_request", 1),
        "S3.CopyObject": ("s3_put", 1),
        "S3.DeleteObject": ("s3_delete", 1),
        "S3.DeleteObjects": ("s3_delete", 1),
        "S3.GetObject": ("s3_get", 1),
        "S3.ListObjectVersions": ("s3_put", 1),
        "S3.PutObject": ("s3_put", 1),
        "SQS.DeleteMessage": ("sqs_request", 1),
        "SQS.DeleteMessageBatch": ("sqs_request", 1),
        "SQS.ReceiveMessage": ("sqs_request", 1),
        "SQS.SendMessage": ("sqs_request", 1),
    }
)
"""The price-list unit of each request, and the number of units: items are under 1 KB; a batch reads a record and a
build; a transaction writes two items, and each counts twice."""


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices in US dollars, as AWS and the embedding provider listed them on a certain day."""

    noted: str
    """The day on which the prices were looked up."""
    region: str
    dollars_per_million: Mapping[str, float]
    dollars_per_million_tokens: Mapping[str, float]

    def of_requests(self, requests: Requests) -> float:
        units = ((*_PRICED[operation], count) for operation, count in requests.items())
        return sum(self.dollars_per_million[unit] * each * count for unit, each, count in units) / _MILLION

    def of_tokens(self, model: str, tokens: int) -> float | None:
        """The price of embedding this many tokens. It is None if the list has no price of this model."""
        price = self.dollars_per_million_tokens.get(model)
        return None if price is None else price * tokens / _MILLION

    def of_lambda(self, gigabyte_seconds: float) -> float:
        return self.dollars_per_million["lambda_gb_second"] * gigabyte_seconds / _MILLION


def listed_prices() -> Prices:
    """The price list that is part of this version of Penstock."""
    return Prices(**orjson.loads(files("penstock.operations").joinpath("prices.json").read_bytes()))


def requests_of(way: Way, shards: int) -> Requests:
    """The requests that Penstock's programs send for a document of this many shards that is processed without a retry,
    and that Lambda sends to receive and delete its messages. Requests to the index and to the embedding provider, and
    those of callers that poll, are not included."""
    stages = [_MESSAGE, _ONE_SHARD] if shards <= 1 else [_MESSAGE, _SHARDS, *[_EACH_SHARD] * shards]
    return _sum(_RECEIVED[way], *stages)


def indirect_requests(way: Way, shards: int) -> Requests:
    """The requests that are billed for the same document although no Penstock program sends them."""
    invocations = 1 if shards <= 1 else 1 + shards
    return _sum(_INDIRECT[way], {"Lambda.Invoke": invocations, "DynamoDB.IndexWrite": _INDEX_WRITES})


def _sum(*parts: Requests) -> Requests:
    total: dict[str, float] = {}
    for requests in parts:
        for operation, count in requests.items():
            total[operation] = total.get(operation, 0) + count
    return dict(sorted(total.items()))
