"""How AWS clients are made: where they connect, how long they wait, how often they try again."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

_CONFIG = Config(
    connect_timeout=3,
    read_timeout=30,  # above SQS's longest wait for messages, 20
    retries={"mode": "standard", "total_max_attempts": 4},
    max_pool_connections=32,
    signature_version="v4",
)


@dataclass(frozen=True, slots=True)
class Clients:
    """One of each service. They may be shared by threads, but not across a fork."""

    s3: S3Client
    dynamodb: DynamoDBClient
    sqs: SQSClient


def aws_clients(endpoint: str | None = None) -> Clients:
    """Clients as the environment says (AWS_ENDPOINT_URL, AWS_REGION, credentials); nothing connects yet.

    `endpoint` stands before AWS_ENDPOINT_URL.
    """
    # boto3 itself knows AWS_DEFAULT_REGION only.
    session = boto3.Session(region_name=os.environ.get("AWS_REGION"))
    return Clients(
        s3=session.client("s3", endpoint_url=endpoint, config=_CONFIG.merge(Config(signature_version="s3v4"))),
        dynamodb=session.client("dynamodb", endpoint_url=endpoint, config=_CONFIG),
        sqs=session.client("sqs", endpoint_url=endpoint, config=_CONFIG),
    )


def textract_client() -> Any:
    """Made where text recognition by Textract is asked for, and not with the others."""
    return boto3.Session(region_name=os.environ.get("AWS_REGION")).client("textract", config=_CONFIG)
