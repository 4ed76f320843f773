"""The public URL: the address at which clients reach the API. The links in its answers begin with it."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send


class PublicUrlMiddleware:
    """ASGI middleware. It treats each request as sent to the public URL, whatever a proxy changed in it."""

    def __init__(self, app: ASGIApp, url: str) -> None:
        parts = urlsplit(url)
        self._app = app
        self._scheme = parts.scheme
        self._host = parts.netloc.encode("idna")
        self._path = parts.path.rstrip("/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = [(name, value) for name, value in scope["headers"] if name != b"host"]
            scope = {
                **scope,
                "scheme": self._scheme,
                "headers": [*headers, (b"host", self._host)],
                "root_path": self._path,
            }
        await self._app(scope, receive, send)
