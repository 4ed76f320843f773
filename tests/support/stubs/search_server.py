"""A server that answers as it is told, in place of OpenSearch: for what a real one says too rarely. Over real HTTP."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import orjson


@dataclass(frozen=True)
class Asked:
    """A request that came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def lines(self) -> list[Any]:
        return [orjson.loads(line) for line in self.body.splitlines()]


@dataclass(frozen=True)
class Told:
    """An answer. Status 0 closes the connection without one."""

    status: int = 200
    body: object = field(default_factory=dict)
    """JSON, or bytes as they are."""


class SearchServer:
    """Answers are taken from `told` one by one; when there are no more, whatever is stored in bulk succeeds."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self.asked: list[Asked] = []
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.stub = self
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def answer(self, asked: Asked) -> Told:
        self.asked.append(asked)
        if self.told:
            return self.told.pop(0)
        return Told(body=bulk_answer({}, asked)) if asked.path.startswith("/_bulk") else Told()

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


def bulk_answer(failures: dict[int, tuple[int, str, str]], asked: Asked) -> object:
    """What a bulk request is answered, with failures by place: status, kind, reason."""
    items = []
    for place, action in enumerate(asked.lines[::2]):
        status, kind, reason = failures.get(place, (201, "", ""))
        outcome: dict[str, object] = {"_id": action["index"]["_id"], "status": status}
        items.append({"index": outcome | ({"error": {"type": kind, "reason": reason}} if kind else {})})
    return {"errors": bool(failures), "items": items}


class _Server(ThreadingHTTPServer):
    stub: SearchServer
    daemon_threads = True


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        told = self.server.stub.answer(Asked(self.command, self.path, headers, body))
        if not told.status:
            self.close_connection = True
            return
        content = told.body if isinstance(told.body, bytes) else orjson.dumps(told.body)
        self.send_response(told.status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = _serve  # noqa: N815 - the base class's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass
