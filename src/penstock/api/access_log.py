"""Access: each request gets an id, one line in the log, and an answer even where something broke."""

from __future__ import annotations

import logging
import time
import uuid

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from penstock.api.problems import answer, internal_error
from penstock.domain.errors import PenstockError

log = logging.getLogger("penstock.api")

_CLIENT_LEFT = 499  # what nginx logs where the client went away before its answer


class AccessLog:
    """ASGI middleware. Query strings are not logged: people search for things that are nobody's business."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, request_id, status = time.perf_counter(), str(uuid.uuid4()), 0
        state = scope.setdefault("state", {})
        state["request_id"] = request_id

        async def send_named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            await self._app(scope, receive, send_named)
        except ClientDisconnect:
            status = _CLIENT_LEFT
        except Exception:
            log.exception("bug request=%s", request_id)
            if status:
                raise  # half an answer is out: closing the connection is all that is left
            await answer(internal_error(), request_id)(scope, receive, send_named)
        finally:
            self._line(scope, status, time.perf_counter() - began)

    def _line(self, scope: Scope, status: int, seconds: float) -> None:
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
