"""The HTTP client that receives messages from SQS: kombu's own, with time limits, and safe against any answer."""

from __future__ import annotations

import logging
from typing import Any

import pycurl
from kombu.asynchronous.aws.connection import AsyncHTTPSConnection
from kombu.asynchronous.aws.sqs.connection import AsyncSQSConnection
from kombu.asynchronous.http.curl import CurlClient

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.05
"""The time, in seconds, between two looks at the requests that are still without an answer when the hub closes."""


class HttpClient(CurlClient):
    """A client whose requests leave no entries in the hub's timer, and which waits for its requests when it closes.

    kombu takes the milliseconds of curl's timer for seconds, so that each request leaves an entry in the timer for
    hours. It looks after curl once a second anyway; only shorter times need an entry of their own.
    """

    def _set_timeout(self, msecs: int) -> None:
        if 0 <= msecs < 1000:  # noqa: PLR2004 - a second
            self.hub.call_later(msecs / 1000, self._timeout_check)  # type: ignore[attr-defined]

    def close(self) -> None:
        """Wait for the requests on their way, each of which has a time limit, and close.

        The hub closes when the last task is done. SQS may give messages even to a connection that nobody
        reads any more.
        """
        while not self._closed and len(self._free_list) < len(self._curls):  # type: ignore[attr-defined]
            self._multi.select(_POLL_SECONDS)
            self._timeout_check()  # type: ignore[attr-defined]
        super().close()


class HttpConnection(AsyncHTTPSConnection):
    """A connection with time limits. kombu computes them and never hands them to curl: a connection that went silent
    would hang for ever."""

    def __init__(self, connect_timeout: float, answer_timeout: float, **options: Any) -> None:
        """
        Args:
            connect_timeout: the time limit for connecting, in seconds.
            answer_timeout: the time limit for the whole request, in seconds.
            options: the options of kombu's connection.
        """
        super().__init__(**options)
        self._connect_timeout = connect_timeout
        self._answer_timeout = answer_timeout

    def getrequest(self) -> Any:
        request = super().getrequest()
        request.on_prepare = self._set_time_limits
        return request

    def _set_time_limits(self, curl: pycurl.Curl) -> None:
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.CONNECTTIMEOUT_MS, int(self._connect_timeout * 1000))
        curl.setopt(pycurl.TIMEOUT_MS, int(self._answer_timeout * 1000))


class Receiver(AsyncSQSConnection):
    """The receive requests to SQS. Their callbacks get the parsed answer, or None if it is no proper answer."""

    def __init__(self, connect_timeout: float, answer_timeout: float, **options: Any) -> None:
        """The arguments are those of `HttpConnection`; the options are those of kombu's SQS connection."""
        super().__init__(**options)
        self._connect_timeout = connect_timeout
        self._answer_timeout = answer_timeout

    def get_http_connection(self) -> HttpConnection:
        return HttpConnection(self._connect_timeout, self._answer_timeout, http_client=self._httpclient)

    def _on_list_ready(self, parent: Any, markers: Any, operation: str, response: Any) -> dict[str, Any] | None:
        try:
            parsed = super()._on_list_ready(parent, markers, operation, response)  # type: ignore[misc]
        except Exception as failure:  # noqa: BLE001 - the body may be no JSON, and kombu has no case for some statuses
            logger.warning("%s: %s", operation, failure)
            return None
        if isinstance(parsed, dict):
            return parsed
        logger.warning("%s: answer %s %s", operation, response.status, response.reason)
        return None
