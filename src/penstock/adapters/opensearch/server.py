"""The server: how it is reached, and what its errors mean."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from penstock.errors import Misconfigured, PenstockError, Refused, Transient

if TYPE_CHECKING:  # brings the SDK, 0.3 s, and only what the server is asked needs it
    from penstock.adapters.opensearch.connection import Connection

Body = dict[str, Any]
"""JSON, as the server takes and gives it."""

SECONDS = 60.0
"""How long an answer may take."""
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


class NoAnswer(Transient):
    """This may well succeed later: the search index gave an answer that is none ({why})."""


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
            Misconfigured: the URL is none.
        """
        if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
            raise Misconfigured(why=f"PENSTOCK_INDEX_URL is {url!r}: set it to the http(s) address of an OpenSearch.")
        self._url, self._login, self._seconds = url, login, seconds
        self._lock = threading.Lock()
        self._made: Connection | None = None

    def ask(self, method: str, path: str, body: object = None, **params: object) -> Body:
        """One request. Whatever is only part of an answer is none.

        Raises:
            Transient: no answer, or only part of one.
            Misconfigured: we are not let in, or there are no AWS credentials to sign with.
            Refused: the request is wrong.
        """
        answer: Body = self._connection().perform(method, path, params, body) or {}
        check_whole(answer)
        return answer

    def ask_many(self, path: str, lines: bytes, **params: object) -> list[Body]:
        """A request of many lines (`_bulk`, `_msearch`); the answer to each."""
        answer = self._connection().perform("POST", path, params, lines, {"content-type": _NEWLINE})
        answers = answer.get("responses", answer.get("items")) if isinstance(answer, dict) else None
        if not isinstance(answers, list):
            raise NoAnswer(why=f"{answer!r:.200}")
        return answers

    def close(self) -> None:
        if self._made is not None:
            self._made.close()

    def _connection(self) -> Connection:
        with self._lock:
            if self._made is None:
                from penstock.adapters.opensearch.connection import Connection  # noqa: PLC0415 - once it is needed

                self._made = Connection(self._url, self._login, self._seconds)
            return self._made


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
