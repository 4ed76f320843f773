"""The server: how it is reached, and what its errors mean."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
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

from penstock.errors import Misconfigured, PenstockError, Refused, Transient

Body = dict[str, Any]
"""JSON, as the server takes and gives it."""

SECONDS = 60.0
"""How long an answer may take."""
CONNECTIONS = 16
"""Kept open for the next caller, per process."""

_SERVICE = "OpenSearch"
_TOO_MANY = 429
_TOO_LARGE = 413
_NOT_FOUND = 404
_FORBIDDEN = (401, 403)
_SERVER_ERROR = 500
_NEWLINE = "application/x-ndjson"


class IndexGone(Transient):
    """This may well succeed later: the index {index} is not there any more, and is made again."""


class Overloaded(Transient):
    """This may well succeed later: the search index has too much to do ({why})."""


class TooLargeAtOnce(Refused):
    """{service} refused the call: {why}"""


@dataclass(frozen=True, slots=True)
class Login:
    """Who we are to the server. Neither name nor signature: a server that asks nobody."""

    user: str = ""
    password: str = ""
    signed: bool = False
    """By SigV4 with the AWS credentials of this process: for a managed domain."""


class Server:
    """Requests to one server. May be shared by threads, but not across a fork. Connects when first asked."""

    def __init__(self, url: str, login: Login = Login(), *, seconds: float = SECONDS) -> None:
        """
        Raises:
            Misconfigured: the URL is none, or there are no AWS credentials to sign with.
        """
        if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
            raise Misconfigured(why=f"PENSTOCK_INDEX_URL is {url!r}: set it to the http(s) address of an OpenSearch.")
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
            max_retries=0,  # SQS alone redelivers; a caller of the API asks again
            maxsize=CONNECTIONS,
            pool_maxsize=CONNECTIONS,
        )

    def ask(self, method: str, path: str, body: object = None, **params: object) -> Body:
        """One request. Whatever is only part of an answer is none.

        Raises:
            Transient: no answer, or only part of one.
            Misconfigured: we are not let in.
            Refused: the request is wrong.
        """
        with _translated(path):
            answer: Body = self._transport.perform_request(method, path, params=_plain(params), body=body) or {}
        check_whole(answer)
        return answer

    def ask_many(self, path: str, lines: bytes, **params: object) -> list[Body]:
        """A request of many lines (`_bulk`, `_msearch`); the answer to each."""
        with _translated(path):
            answer = self._transport.perform_request(
                "POST", path, params=_plain(params), body=lines, headers={"content-type": _NEWLINE}
            )
            answers: list[Body] = answer["responses"] if "responses" in answer else answer["items"]
        return answers

    def close(self) -> None:
        self._transport.close()


def check_whole(answer: Mapping[str, Any]) -> None:
    """
    Raises:
        Transient: it timed out, or shards did not take part: counts and hits may be too few.
    """
    if "error" in answer:
        raise error_of(int(answer.get("status", _SERVER_ERROR)), answer["error"])
    if answer.get("timed_out") or dict(answer.get("_shards", {})).get("failed"):
        raise Transient(why="the search index answered in part only")


def error_of(status: int, error: object, path: str = "") -> PenstockError:
    """What this answer means to us."""
    kind, reason = _said(error)
    why = f"{status} {kind}: {reason}"[:500]
    if status == _TOO_MANY:
        return Overloaded(why=why)
    if status == _TOO_LARGE:
        return TooLargeAtOnce(service=_SERVICE, why=why)
    if status == _NOT_FOUND and kind == "index_not_found_exception":
        return IndexGone(index=path.strip("/").split("/")[0])
    if kind == "cluster_block_exception" or status >= _SERVER_ERROR:
        return Transient(why=f"the search index did not do it ({why})")
    if status in _FORBIDDEN:
        return Misconfigured(
            why=f"OpenSearch does not let us in ({why}). Check PENSTOCK_INDEX_AUTH, PENSTOCK_INDEX_USER and "
            "PENSTOCK_INDEX_PASSWORD or, on AWS, the access policy of the domain and of this role."
        )
    return Refused(service=_SERVICE, why=why)


def _said(error: object) -> tuple[str, str]:
    """The kind and the reason of an error; of what failed on shards, the first."""
    if not isinstance(error, Mapping):
        return "error", str(error)
    inner = error.get("error", error)
    if not isinstance(inner, Mapping):
        return "error", str(inner)
    causes: Sequence[Mapping[str, Any]] = inner.get("root_cause") or [inner]
    deepest = inner.get("caused_by") or causes[0]
    reason = str(causes[0].get("reason"))
    if deepest.get("reason") and str(deepest["reason"]) not in reason:
        reason = f"{reason} ({deepest['reason']})"
    return str(causes[0].get("type") or inner.get("type")), reason


@contextmanager
def _translated(path: str) -> Iterator[None]:
    try:
        yield
    except ConnectionError as error:  # also what timed out, and TLS
        raise Transient(why=f"the search index did not answer ({error.error})") from error
    except TransportError as error:
        raise error_of(int(error.status_code), error.info, path) from error
    except (SerializationError, KeyError, TypeError) as error:
        raise Transient(why=f"the search index gave an answer that is none ({error!r:.200})") from error
    except ImproperlyConfigured as error:
        raise Misconfigured(why=f"OpenSearch cannot be reached: {error}") from error
    except OpenSearchException as error:
        raise Transient(why=f"the search index: {error}") from error


def _plain(params: Mapping[str, object]) -> dict[str, str]:
    return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in params.items()}


def _auth(login: Login) -> tuple[str, str] | Callable[..., dict[str, str]] | None:
    if login.signed:
        session = botocore.session.get_session()
        credentials, region = session.get_credentials(), session.get_config_variable("region")
        if credentials is None or not region:
            why = "PENSTOCK_INDEX_AUTH asks for signed requests, and there are no AWS credentials or no AWS_REGION."
            raise Misconfigured(why=why)
        signer: Callable[..., dict[str, str]] = Urllib3AWSV4SignerAuth(credentials, region, "es")
        return signer
    return (login.user, login.password) if login.user else None


class _Json(JSONSerializer):
    """orjson: an answer with vectors is read thirty times as fast."""

    def loads(self, s: str) -> Any:
        try:
            return orjson.loads(s)
        except orjson.JSONDecodeError as error:
            raise SerializationError(s[:200], error) from error

    def dumps(self, data: Any) -> Any:
        return data if isinstance(data, (bytes, str)) else orjson.dumps(data, option=orjson.OPT_SERIALIZE_NUMPY)
