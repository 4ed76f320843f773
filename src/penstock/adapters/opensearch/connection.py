"""The connection to a search server by opensearch-py. None of its exceptions leaves this module (I9)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import botocore.session
import orjson
from opensearchpy import Transport, Urllib3AWSV4SignerAuth, Urllib3HttpConnection
from opensearchpy.exceptions import (
    ConnectionError,  # noqa: A004 - the SDK's name
    ImproperlyConfigured,
    OpenSearchException,
    SerializationError,
    TransportError,
)
from opensearchpy.serializer import JSONSerializer

from penstock.adapters.opensearch.errors import NoAnswer, error_of
from penstock.adapters.opensearch.login import Login
from penstock.domain.errors import Misconfigured, Transient

KEPT_OPEN = 16
"""The number of connections that a process keeps open for its next requests."""


class Connection:
    """A pool of connections, which threads may share. It connects with the first request."""

    def __init__(self, url: str, login: Login, seconds: float) -> None:
        """
        Raises:
            Misconfigured: there are no AWS credentials to sign with.
        """
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        self._transport = Transport(
            [
                {
                    "host": parts.hostname,
                    "port": parts.port or (443 if secure else 80),
                    "use_ssl": secure,
                    "url_prefix": parts.path.strip("/"),
                }
            ],
            connection_class=Urllib3HttpConnection,
            serializer=_Json(),
            http_auth=_auth(login),
            timeout=seconds,
            max_retries=0,  # SQS alone redelivers, and a caller of the API retries for itself
            maxsize=KEPT_OPEN,
            pool_maxsize=KEPT_OPEN,
        )

    def perform(
        self,
        method: str,
        path: str,
        params: Mapping[str, object],
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Send one request, and return the answer, whatever it says."""
        with _translated(path):
            return self._transport.perform_request(
                method, path, params=_query_strings(params), body=body, headers=headers
            )

    def close(self) -> None:
        self._transport.close()


@contextmanager
def _translated(path: str) -> Iterator[None]:
    try:
        yield
    except ConnectionError as error:  # timeouts and TLS errors too
        raise Transient(why=f"the search index did not answer ({error.error})") from error
    except TransportError as error:
        raise error_of(int(error.status_code), error.info, path) from error
    except SerializationError as error:
        raise NoAnswer(why=f"{error!r:.200}") from error
    except ImproperlyConfigured as error:
        raise Misconfigured(why=f"OpenSearch cannot be reached: {error}") from error
    except OpenSearchException as error:
        raise Transient(why=f"the search index: {error}") from error


def _query_strings(params: Mapping[str, object]) -> dict[str, str]:
    return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in params.items()}


def _auth(login: Login) -> tuple[str, str] | Callable[..., dict[str, str]] | None:
    if login.signed:
        session = botocore.session.get_session()
        credentials = session.get_credentials()
        region = os.environ.get("AWS_REGION") or session.get_config_variable("region")
        if credentials is None or not region:
            why = "PENSTOCK_INDEX_AUTH asks for signed requests, and there are no AWS credentials or no AWS_REGION."
            raise Misconfigured(why=why)
        signer: Callable[..., dict[str, str]] = Urllib3AWSV4SignerAuth(credentials, region, "es")
        return signer
    return (login.user, login.password) if login.user else None


class _Json(JSONSerializer):
    """JSON by orjson, which reads an answer with vectors thirty times as fast."""

    def loads(self, s: str) -> Any:
        try:
            return orjson.loads(s)
        except orjson.JSONDecodeError as error:
            raise SerializationError(s[:200], error) from error

    def dumps(self, data: Any) -> Any:
        return data if isinstance(data, (bytes, str)) else orjson.dumps(data, option=orjson.OPT_SERIALIZE_NUMPY)
