"""Admission control: above a fixed number of open requests, the next one is refused at once with a 503.

Otherwise all of them would be answered late. The number also bounds the disk space that open uploads can occupy.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from penstock.api.problems import headers_of, problem_of, problem_response
from penstock.domain.errors import Transient


class AdmissionControl:
    """ASGI middleware. Each open upload may occupy as much disk space as the largest accepted file."""

    def __init__(self, app: ASGIApp, max_open: int) -> None:
        self._app = app
        self._max_open = max_open
        self._open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._open >= self._max_open:
            full = Transient(why=f"{self._open} requests are open already", retry_after=1)
            scope["state"]["error"] = full
            response = problem_response(problem_of(full), scope["state"]["request_id"], headers_of(full))
            await response(scope, receive, send)
            return
        self._open += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._open -= 1
