"""The search server: sends one request, or many in one, and checks that the answer is complete."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from penstock.adapters.opensearch.errors import NoAnswer, check_complete
from penstock.adapters.opensearch.login import Login
from penstock.domain.errors import Misconfigured

if TYPE_CHECKING:  # imports the SDK, which takes 0.3 s, and only the first request needs it
    from penstock.adapters.opensearch.connection import Connection

Body = dict[str, Any]
"""A JSON object in a request or an answer."""

SECONDS = 60.0
"""How long an answer may take."""
_NEWLINE_DELIMITED_JSON = "application/x-ndjson"


class Server:
    """A server at one address. Threads may share it; it must not be carried over a fork. It connects with the first
    request."""

    def __init__(self, url: str, login: Login | None = None, *, seconds: float = SECONDS) -> None:
        """
        Args:
            seconds: how long an answer may take.

        Raises:
            Misconfigured: the URL is not one.
        """
        if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
            raise Misconfigured(why=f"PENSTOCK_INDEX_URL is {url!r}: set it to the http(s) address of an OpenSearch.")
        self._url, self._login, self._seconds = url, login or Login(), seconds
        self._lock = threading.Lock()
        self._opened: Connection | None = None

    def ask(self, method: str, path: str, body: object = None, **params: object) -> Body:
        """Send one request, and return its complete answer.

        Raises:
            Transient: there was no answer, or only part of one.
            Misconfigured: the server does not let us in, or there are no AWS credentials to sign with.
            Refused: the request is wrong.
        """
        answer: Body = self._connection().perform(method, path, params, body) or {}
        check_complete(answer)
        return answer

    def ask_many(self, path: str, lines: bytes, **params: object) -> list[Body]:
        """Send many requests in one (`_bulk`, `_msearch`), and return the answer to each, which may be an error."""
        answer = self._connection().perform("POST", path, params, lines, {"content-type": _NEWLINE_DELIMITED_JSON})
        answers = answer.get("responses", answer.get("items")) if isinstance(answer, dict) else None
        if not isinstance(answers, list):
            raise NoAnswer(why=f"{answer!r:.200}")
        return answers

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()

    def _connection(self) -> Connection:
        with self._lock:
            if self._opened is None:
                from penstock.adapters.opensearch.connection import Connection  # noqa: PLC0415 - imports the SDK

                self._opened = Connection(self._url, self._login, self._seconds)
            return self._opened
