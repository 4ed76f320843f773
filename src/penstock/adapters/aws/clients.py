"""How AWS clients are made: where they connect, how long they wait, how often they try again."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_ssm import SSMClient

_CONFIG = Config(
    connect_timeout=3,
    read_timeout=30,  # above SQS's longest wait for messages, 20
    retries={"mode": "standard", "total_max_attempts": 4},
    max_pool_connections=32,
    signature_version="v4",
)


@dataclass(frozen=True, slots=True)
class Clients:
    """One of each service. Those that are made may be shared by threads, but not across a fork."""

    s3: S3Client
    dynamodb: DynamoDBClient
    sqs: SQSClient
    ssm: Callable[[], SSMClient]
    """Makes one: few need it, and those once."""


def aws_clients(endpoint: str | None = None, *, publish_retries: int = 3) -> Clients:
    """Clients as the environment says (AWS_ENDPOINT_URL, AWS_REGION, credentials); nothing connects yet.

    Args:
        endpoint: stands before AWS_ENDPOINT_URL.
        publish_retries: how often a request to SQS is made again.
    """
    sqs = _CONFIG.merge(Config(retries={"mode": "standard", "total_max_attempts": 1 + publish_retries}))
    # boto3 itself knows AWS_DEFAULT_REGION only.
    session = boto3.Session(region_name=os.environ.get("AWS_REGION"))
    return Clients(
        s3=session.client("s3", endpoint_url=endpoint, config=_CONFIG.merge(Config(signature_version="s3v4"))),
        dynamodb=session.client("dynamodb", endpoint_url=endpoint, config=_CONFIG),
        sqs=session.client("sqs", endpoint_url=endpoint, config=sqs),
        ssm=lambda: session.client("ssm", endpoint_url=endpoint, config=_CONFIG),
    )
