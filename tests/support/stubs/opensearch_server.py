"""A server that stands in for OpenSearch and gives prepared replies over real HTTP: replies that a real server gives
too rarely for a test."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import orjson


@dataclass(frozen=True)
class ReceivedRequest:
    """A request that the server received."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def lines(self) -> list[Any]:
        return [orjson.loads(line) for line in self.body.splitlines()]


@dataclass(frozen=True)
class Reply:
    """A prepared reply. Status 0 closes the connection without a reply."""

    status: int = 200
    body: object = field(default_factory=dict)
    """The body is sent as JSON, unless it is bytes."""


class OpenSearchStub:
    """Replies are taken from `replies` one by one. When none is left, every bulk request succeeds."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.requests: list[ReceivedRequest] = []
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.stub = self
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def answer(self, request: ReceivedRequest) -> Reply:
        self.requests.append(request)
        if self.replies:
            return self.replies.pop(0)
        return Reply(body=bulk_answer({}, request)) if request.path.startswith("/_bulk") else Reply()

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


def bulk_answer(failures: dict[int, tuple[int, str, str]], request: ReceivedRequest) -> object:
    """The answer to a bulk request. `failures` gives status, kind and reason of each action that fails, by its
    place."""
    items = []
    for place, action in enumerate(request.lines[::2]):
        status, kind, reason = failures.get(place, (201, "", ""))
        outcome: dict[str, object] = {"_id": action["index"]["_id"], "status": status}
        items.append({"index": outcome | ({"error": {"type": kind, "reason": reason}} if kind else {})})
    return {"errors": bool(failures), "items": items}


class _Server(ThreadingHTTPServer):
    stub: OpenSearchStub
    daemon_threads = True


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = self.server.stub.answer(ReceivedRequest(self.command, self.path, headers, body))
        if not reply.status:
            self.close_connection = True
            return
        content = reply.body if isinstance(reply.body, bytes) else orjson.dumps(reply.body)
        self.send_response(reply.status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = _serve  # noqa: N815 - the base class's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass
