"""The AWS clients: where they connect, how long they wait for an answer, and how often they retry."""

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

_REQUEST_ID_HEADERS = {"x-amzn-requestid", "x-amz-request-id"}


@dataclass(frozen=True, slots=True)
class Clients:
    """The clients of the services that Penstock uses. Threads may share a client; it must not be carried over a
    fork."""

    s3: S3Client
    dynamodb: DynamoDBClient
    sqs: SQSClient
    ssm: Callable[[], SSMClient]
    """Makes a client, since few processes need one."""
    textract: Callable[[], Any]
    """Makes a client, since few processes need one."""


def aws_clients(endpoint: str | None = None, *, publish_retries: int = 3) -> Clients:
    """Make the clients as the environment configures them (AWS_ENDPOINT_URL, AWS_REGION, credentials). Nothing connects
    yet.

    Args:
        endpoint: the address of AWS. It overrides AWS_ENDPOINT_URL.
        publish_retries: the maximum number of retries of a request to SQS.
    """
    sqs = _CONFIG.merge(Config(retries={"mode": "standard", "total_max_attempts": 1 + publish_retries}))
    # boto3 itself reads only AWS_DEFAULT_REGION.
    session = boto3.Session(region_name=os.environ.get("AWS_REGION"))
    session.events.register("before-parse", _check_origin)
    return Clients(
        s3=session.client("s3", endpoint_url=endpoint, config=_CONFIG.merge(Config(signature_version="s3v4"))),
        dynamodb=session.client("dynamodb", endpoint_url=endpoint, config=_CONFIG),
        sqs=session.client("sqs", endpoint_url=endpoint, config=sqs),
        ssm=lambda: session.client("ssm", endpoint_url=endpoint, config=_CONFIG),
        textract=lambda: session.client("textract", endpoint_url=endpoint, config=_CONFIG),
    )


class NotOfAws(BotoCoreError):
    """The answer does not come from AWS: something stands between Penstock and the service."""

    fmt = "the answer has no request id, so it does not come from AWS"


def _check_origin(response_dict: dict[str, Any], **_: object) -> None:
    """Refuse a success without a request id. botocore would take a page that some proxy sent for an empty answer, or
    for the bytes of a file.

    Raises:
        NotOfAws: the answer has no request id.
    """
    names = {name.lower() for name in response_dict["headers"]}
    if response_dict["status_code"] < HTTPStatus.BAD_REQUEST and not names & _REQUEST_ID_HEADERS:
        raise NotOfAws
