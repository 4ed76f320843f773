"""A gateway before the emulator that spoils answers of SQS, in the ways that networks and services do."""

from __future__ import annotations

import http.client
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from urllib.parse import urlsplit

Fault = Callable[["_Handler"], None]


def answers(status: int, body: bytes) -> Fault:
    """A fault: this answer, instead of that of SQS."""

    def fault(handler: _Handler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", "application/x-amz-json-1.0")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return fault


def resets(handler: _Handler) -> None:
    """A fault: the connection is reset."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()
    handler.close_connection = True


def is_silent(handler: _Handler) -> None:
    """A fault: no answer comes, for as long as the gateway stands."""
    handler.server.closed.wait()
    handler.close_connection = True


class FaultyGateway(ThreadingHTTPServer):
    """Passes requests on, but for those that are to be spoiled."""

    daemon_threads = True

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = urlsplit(upstream)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.closed = Event()
        self.spoiled = 0
        self.received: list[str] = []
        self._fault: Fault | None = None
        self._operation = ""
        self._left = 0
        self._lock = Lock()

    def spoil(self, fault: Fault, times: int, operation: str = "ReceiveMessage") -> None:
        """Answer the next so many requests for this operation with this fault."""
        with self._lock:
            self._fault, self._left, self._operation = fault, times, operation

    def fault(self, operation: str) -> Fault | None:
        with self._lock:
            if not self._left or operation != self._operation:
                return None
            self._left -= 1
            self.spoiled += 1
            return self._fault

    def handle_error(self, request: object, client_address: object) -> None:
        """A worker that was killed breaks its connections; that is what the tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FaultyGateway

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        operation = self.headers.get("X-Amz-Target", "").removeprefix("AmazonSQS.")
        if operation == "ReceiveMessage":
            self.server.received.append(body.decode())
        fault = self.server.fault(operation)
        if fault is not None:
            fault(self)
        else:
            self._pass_on(body)

    def _pass_on(self, body: bytes) -> None:
        upstream = http.client.HTTPConnection(self.server.upstream.hostname, self.server.upstream.port, timeout=60)
        try:
            upstream.request("POST", self.path, body, dict(self.headers))
            answer = upstream.getresponse()
            content = answer.read()
        finally:
            upstream.close()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in {"transfer-encoding", "content-length", "connection"}:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@contextmanager
def faulty_gateway(upstream: str) -> Iterator[FaultyGateway]:
    gateway = FaultyGateway(upstream)
    thread = Thread(target=gateway.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield gateway
    finally:
        gateway.closed.set()
        gateway.shutdown()
        gateway.server_close()
        thread.join()
