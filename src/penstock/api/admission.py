"""Room: beyond so many open requests the next is sent away at once, rather than all of them answered late."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from penstock.api.problems import answer, headers_of, problem_of
from penstock.domain.errors import Transient


class Room:
    """ASGI middleware. Each open upload may hold as much disk as a file may have bytes."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app = app
        self._most = most
        self._open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._open >= self._most:
            full = Transient(why=f"{self._open} requests are open already", retry_after=1)
            scope["state"]["error"] = full
            await answer(problem_of(full), scope["state"]["request_id"], headers_of(full))(scope, receive, send)
            return
        self._open += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._open -= 1
