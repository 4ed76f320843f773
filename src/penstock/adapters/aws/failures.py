"""The exceptions of botocore as Penstock's own errors: retry, repair the configuration, or give up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    InvalidEndpointConfigurationError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    PartialCredentialsError,
    UnknownEndpointError,
)

from penstock.domain.errors import Misconfigured, PenstockError, Refused, Transient

_PASSING = frozenset(
    {
        "ExpiredToken",  # credentials are renewed while a process lives
        "ExpiredTokenException",
        "LimitExceededException",
        "OperationAborted",
        "OverLimit",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestTimeout",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
_NOT_THERE_OR_NOT_ALLOWED = frozenset(
    {
        "AWS.SimpleQueueService.NonExistentQueue",
        "AccessDenied",
        "AccessDeniedException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "NoSuchBucket",
        "ParameterNotFound",
        "QueueDoesNotExist",
        "ResourceNotFoundException",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_NOT_CONFIGURED = (
    InvalidEndpointConfigurationError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    UnknownEndpointError,
)


@contextmanager
def translated(service: str) -> Iterator[None]:
    """Translate the exceptions of botocore: none of them leaves this block (I9).

    Raises:
        Transient: the service throttled the call, was out of reach, or had an internal error.
        Misconfigured: the resource does not exist, or the credentials do not allow the call.
        Refused: the call was wrong.
    """
    try:
        yield
    except ClientError as error:
        raise failure_of(service, error) from error
    except _NOT_CONFIGURED as error:
        raise Misconfigured(why=f"{service} cannot be called: {error}") from error
    except ParamValidationError as error:
        raise Refused(service=service, why=error) from error
    except BotoCoreError as error:
        raise Transient(why=f"{service} did not answer ({error})") from error


def failure_of(service: str, error: ClientError) -> PenstockError:
    """Penstock's error for an answer that reports an error."""
    code, status = code_of(error), error.response["ResponseMetadata"]["HTTPStatusCode"]
    if code in _PASSING or status >= 500 or status == 429:  # noqa: PLR2004 - as HTTP names them
        return Transient(why=f"{service} answered {code}", retry_after=_retry_after(error))
    if code in _NOT_THERE_OR_NOT_ALLOWED:
        return Misconfigured(why=f"{service} answered {code}: {error.response['Error'].get('Message', '')}")
    return Refused(service=service, why=error)


def code_of(error: ClientError) -> str:
    return error.response["Error"].get("Code", "")


def _retry_after(error: ClientError) -> float | None:
    seconds = error.response["ResponseMetadata"].get("HTTPHeaders", {}).get("retry-after", "")
    return float(seconds) if seconds.isdecimal() else None
