"""A proxy in front of an AWS emulator or an embedding provider. It forwards the requests of all processes and counts
them by service and operation. A watcher can override what happens to a request."""

from __future__ import annotations

import http.client
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from urllib.parse import parse_qs, unquote, urlsplit

_OPERATIONS = {"DynamoDB_20120810": "DynamoDB", "AmazonSQS": "SQS", "AmazonSSM": "SSM"}
_HOP = {"transfer-encoding", "content-length", "connection", "keep-alive"}


@dataclass(frozen=True)
class Request:
    """A request as it was received."""

    method: str
    target: str
    """The path and the query."""
    headers: Mapping[str, str]
    """The headers by their names in lower case."""
    body: bytes

    @cached_property
    def query(self) -> Mapping[str, list[str]]:
        return parse_qs(urlsplit(self.target).query, keep_blank_values=True)

    @property
    def key(self) -> str:
        """The key of an S3 request, without the bucket. It is empty for a request to the bucket itself."""
        return unquote(urlsplit(self.target).path).strip("/").partition("/")[2]

    @property
    def operation(self) -> str:
        """`Service.Operation`, as AWS names them. SQS and DynamoDB give it in a header or a form field; for S3 it
        follows from method, path and query. `Provider.Embed` is a request to the embedding provider."""
        if self.target.endswith("/embeddings"):
            return "Provider.Embed"
        service, _, operation = self.headers.get("x-amz-target", "").partition(".")
        if service in _OPERATIONS:
            return f"{_OPERATIONS[service]}.{operation}"
        if self.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            return f"SQS.{parse_qs(self.body.decode())['Action'][0]}"
        return f"S3.{self._of_object() if self.key else self._of_bucket()}"

    def _of_bucket(self) -> str:
        known = {"versions": "ListObjectVersions", "delete": "DeleteObjects"}
        other = {"HEAD": "HeadBucket", "POST": "PostObject"}.get(self.method, f"{self.method} of the bucket")
        return next((name for parameter, name in known.items() if parameter in self.query), other)

    def _of_object(self) -> str:
        if self.method == "PUT":
            part, copy = "partNumber" in self.query, "x-amz-copy-source" in self.headers
            return ("UploadPartCopy" if copy else "UploadPart") if part else ("CopyObject" if copy else "PutObject")
        if self.method == "POST":
            return "CreateMultipartUpload" if "uploads" in self.query else "CompleteMultipartUpload"
        if self.method == "DELETE" and "uploadId" in self.query:
            return "AbortMultipartUpload"
        return {"GET": "GetObject", "HEAD": "HeadObject", "DELETE": "DeleteObject"}[self.method]


@dataclass(frozen=True)
class Answer:
    """The response to a request."""

    status: int
    headers: Mapping[str, str]
    body: bytes


Sender = socket.socket
"""The connection of the client that sent a request."""
Override = Callable[[Sender], Answer | None]
"""It runs in place of forwarding a request or of answering it. It returns the answer; with None the connection is
closed without an answer."""


class Watcher:
    """It is called for each request, and can override what happens to it. This one overrides nothing."""

    def before_forwarding(self, request: Request, sender: Sender) -> Override | None:
        """Called before the request is forwarded. If an override is returned, it runs in place of forwarding."""

    def before_answering(self, request: Request, status: int) -> Override | None:
        """Called when the upstream has answered, before the client gets the answer. If an override is returned, it runs
        in place of answering."""


class CountingProxy(ThreadingHTTPServer):
    """A server whose address is for AWS_ENDPOINT_URL. A hook of botocore would miss other processes and Celery's
    requests."""

    daemon_threads = True

    def __init__(self, upstream: str, watcher: Watcher | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = urlsplit(upstream)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.watcher = watcher or Watcher()
        self._counted: Counter[str] = Counter()
        self._lock = Lock()

    def count(self, operation: str) -> None:
        with self._lock:
            self._counted[operation] += 1

    def reset(self) -> Counter[str]:
        """Return the counts since the last reset, and start again at zero."""
        with self._lock:
            counted, self._counted = self._counted, Counter()
        return counted

    def handle_error(self, request: object, client_address: object) -> None:
        """Errors are ignored: a client process that was ended breaks its connections."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: CountingProxy

    def _serve(self) -> None:
        body = self._body()
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, headers, body)
        self.server.count(request.operation)
        override = self.server.watcher.before_forwarding(request, self.connection)
        if override is None:
            answer: Answer | None = self._forward(body)
            assert answer is not None
            override = self.server.watcher.before_answering(request, answer.status)
        if override is not None:
            answer = override(self.connection)
        if answer is None:
            self.close_connection = True
        else:
            self._send(answer)

    def _forward(self, body: bytes) -> Answer:
        target = self.server.upstream
        upstream = http.client.HTTPConnection(target.hostname or "", target.port, timeout=60)
        try:
            upstream.request(self.command, self.path, body, dict(self.headers))
            answer = upstream.getresponse()
            return Answer(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            upstream.close()

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in _HOP:
                self.send_header(name, value)
        length = answer.headers.get("Content-Length") if self.command == "HEAD" else str(len(answer.body))
        self.send_header("Content-Length", length or "0")
        self.end_headers()
        self.wfile.write(answer.body)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _serve  # noqa: N815 - as http.server calls them

    def _body(self) -> bytes:
        if self.headers.get("Expect", "").lower() == "100-continue":
            del self.headers["Expect"]
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        del self.headers["Transfer-Encoding"]
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return body

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def counting_proxy(upstream: str, watcher: Watcher | None = None) -> Iterator[CountingProxy]:
    """A running proxy, which is stopped at the end of the context."""
    proxy = CountingProxy(upstream, watcher)
    thread = Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.shutdown()
        proxy.server_close()
        thread.join()
