"""How AWS clients are made: where they connect, how long they wait, how often they try again."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

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

_NAMES_OF_REQUESTS = {"x-amzn-requestid", "x-amz-request-id"}


@dataclass(frozen=True, slots=True)
class Clients:
    """One of each service. Those that are made may be shared by threads, but not across a fork."""

    s3: S3Client
    dynamodb: DynamoDBClient
    sqs: SQSClient
    ssm: Callable[[], SSMClient]
    """Makes one: few need it, and those once."""
    textract: Callable[[], Any]


def aws_clients(endpoint: str | None = None, *, publish_retries: int = 3) -> Clients:
    """Clients as the environment says (AWS_ENDPOINT_URL, AWS_REGION, credentials); nothing connects yet.

    Args:
        endpoint: stands before AWS_ENDPOINT_URL.
        publish_retries: how often a request to SQS is made again.
    """
    sqs = _CONFIG.merge(Config(retries={"mode": "standard", "total_max_attempts": 1 + publish_retries}))
    # boto3 itself knows AWS_DEFAULT_REGION only.
    session = boto3.Session(region_name=os.environ.get("AWS_REGION"))
    session.events.register("before-parse", _distrust)
    return Clients(
        s3=session.client("s3", endpoint_url=endpoint, config=_CONFIG.merge(Config(signature_version="s3v4"))),
        dynamodb=session.client("dynamodb", endpoint_url=endpoint, config=_CONFIG),
        sqs=session.client("sqs", endpoint_url=endpoint, config=sqs),
        ssm=lambda: session.client("ssm", endpoint_url=endpoint, config=_CONFIG),
        textract=lambda: session.client("textract", endpoint_url=endpoint, config=_CONFIG),
    )


class NotOfAws(BotoCoreError):
    """What came back is no answer of AWS: who stands in between?"""

    fmt = "what claims to be its answer names no request of AWS"


def _distrust(response_dict: dict[str, Any], **_: object) -> None:
    """botocore would take what it cannot read for an empty answer, or for the bytes of a file.

    Raises:
        NotOfAws: a success that does not name its request.
    """
    names = {name.lower() for name in response_dict["headers"]}
    if response_dict["status_code"] < HTTPStatus.BAD_REQUEST and not names & _NAMES_OF_REQUESTS:
        raise NotOfAws
