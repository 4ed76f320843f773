"""Cost: the AWS requests that a document takes, and what they cost by a dated list of prices.

The numbers are not guessed: `make bench-requests` counts what is sent, and fails where this module says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from types import MappingProxyType

import orjson

Requests = Mapping[str, float]
"""How many, by `Service.Operation`."""

_MILLION = 1e6


class Way(StrEnum):
    """How a file comes in."""

    HTTPS = "https"
    DROP = "drop"
    UPLOAD = "upload"
    """Announced by HTTPS, and then posted to the bucket by its sender."""


_BATCH = 10
"""S3's events that the arrivals function is given at once, at the best."""

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
"""Until the message is sent that asks for the extraction."""

_MESSAGE: Requests = {"SQS.SendMessage": 1, "SQS.ReceiveMessage": 1, "SQS.DeleteMessageBatch": 1}
_ONE_SHARD: Requests = {"DynamoDB.GetItem": 1, "DynamoDB.PutItem": 2, "S3.GetObject": 1}
"""Claim, read, publish."""
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
_EACH_SHARD: Requests = {
    **_MESSAGE,
    "DynamoDB.BatchGetItem": 2,
    "DynamoDB.GetItem": 1,
    "DynamoDB.PutItem": 3,
    "S3.PutObject": 1,
    "S3.GetObject": 1,
}

_BESIDE: Mapping[Way, Requests] = MappingProxyType(
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
"""Billed as well, though no program of ours sends it: the gateway's, the sender's own, S3's event, invocations."""
_INDEX_WRITES = 3
"""Of the table's two indexes: both when it is accepted, one when it is done."""

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
"""What a request is billed as, and as how many: items are under 1 KB; a batch is of a record and a build; a transaction
of two counts each twice."""


@dataclass(frozen=True, slots=True)
class Prices:
    """Dollars, as AWS and the provider listed them on a day."""

    noted: str
    region: str
    dollars_per_million: Mapping[str, float]
    dollars_per_million_tokens: Mapping[str, float]

    def of_requests(self, requests: Requests) -> float:
        units = ((*_PRICED[operation], count) for operation, count in requests.items())
        return sum(self.dollars_per_million[unit] * each * count for unit, each, count in units) / _MILLION

    def of_tokens(self, model: str, tokens: int) -> float | None:
        """None where no price of this model is listed."""
        price = self.dollars_per_million_tokens.get(model)
        return None if price is None else price * tokens / _MILLION

    def of_lambda(self, gigabyte_seconds: float) -> float:
        return self.dollars_per_million["lambda_gb_second"] * gigabyte_seconds / _MILLION


def listed_prices() -> Prices:
    """Those that came with this version."""
    return Prices(**orjson.loads(files("penstock.operations").joinpath("prices.json").read_bytes()))


def requests_of(way: Way, shards: int) -> Requests:
    """What our programs send for a document of so many shards that goes through at once, and what Lambda sends to
    receive and delete its messages. Index, provider and whoever polls are apart."""
    stages = [_MESSAGE, _ONE_SHARD] if shards <= 1 else [_MESSAGE, _SHARDS, *[_EACH_SHARD] * shards]
    return _sum(_RECEIVED[way], *stages)


def beside(way: Way, shards: int) -> Requests:
    """What is billed besides."""
    invoked = 1 if shards <= 1 else 1 + shards
    return _sum(_BESIDE[way], {"Lambda.Invoke": invoked, "DynamoDB.IndexWrite": _INDEX_WRITES})


def _sum(*several: Requests) -> Requests:
    total: dict[str, float] = {}
    for requests in several:
        for operation, count in requests.items():
            total[operation] = total.get(operation, 0) + count
    return dict(sorted(total.items()))
