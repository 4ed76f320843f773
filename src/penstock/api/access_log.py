"""Access log: each request gets an id, one line in the log, and an answer even if a bug stopped it."""

from __future__ import annotations

import logging
import time
import uuid

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from penstock.api.problems import internal_error, problem_response
from penstock.domain.errors import PenstockError

log = logging.getLogger("penstock.api")

_CLIENT_LEFT = 499  # the status that nginx logs when the client closed the connection before the answer


class AccessLog:
    """ASGI middleware. Query strings are not logged: what people search for is private."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, request_id, status = time.perf_counter(), str(uuid.uuid4()), 0
        state = scope.setdefault("state", {})
        state["request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except ClientDisconnect:
            status = _CLIENT_LEFT
        except Exception:
            log.exception("bug request=%s", request_id)
            if status:
                raise  # the answer was partly sent, so that only closing the connection remains
            await problem_response(internal_error(), request_id)(scope, receive, send_with_id)
        finally:
            self._log(scope, status, time.perf_counter() - started)

    def _log(self, scope: Scope, status: int, seconds: float) -> None:
        state = scope["state"]
        error = state.get("error")
        code = f" code={error.code}" if isinstance(error, PenstockError) else ""
        log.info(
            "%s %s %d %.0f ms tenant=%s request=%s%s",
            scope["method"],
            scope["path"].encode("unicode_escape").decode(),
            status,
            seconds * 1000,
            state.get("tenant", "-"),
            state["request_id"],
            code,
        )
