"""The server: how it is reached, and what its errors mean."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from penstock.adapters.opensearch.errors import SERVER_ERROR, NoAnswer, error_of
from penstock.adapters.opensearch.login import Login
from penstock.domain.errors import Misconfigured, Transient

if TYPE_CHECKING:  # brings the SDK, 0.3 s, and only what the server is asked needs it
    from penstock.adapters.opensearch.connection import Connection

Body = dict[str, Any]
"""JSON, as the server takes and gives it."""

SECONDS = 60.0
"""How long an answer may take."""
_NEWLINE = "application/x-ndjson"


class Server:
    """Requests to one server. May be shared by threads, but not across a fork. Connects when first asked."""

    def __init__(self, url: str, login: Login | None = None, *, seconds: float = SECONDS) -> None:
        """
        Raises:
            Misconfigured: the URL is none.
        """
        if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
            raise Misconfigured(why=f"PENSTOCK_INDEX_URL is {url!r}: set it to the http(s) address of an OpenSearch.")
        self._url, self._login, self._seconds = url, login or Login(), seconds
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
        raise error_of(int(answer.get("status", SERVER_ERROR)), answer["error"])
    if answer.get("timed_out") or dict(answer.get("_shards", {})).get("failed"):
        raise Transient(why="the search index answered in part only")
