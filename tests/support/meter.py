"""A meter before an AWS emulator or an embedding provider: passes requests on, whoever sends them, and counts them by
service and operation. Whoever watches it may have something else done than that."""

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
    """A request as it came."""

    method: str
    target: str
    """Path and query."""
    headers: Mapping[str, str]
    """By name in lower case."""
    body: bytes

    @cached_property
    def query(self) -> Mapping[str, list[str]]:
        return parse_qs(urlsplit(self.target).query, keep_blank_values=True)

    @property
    def key(self) -> str:
        """Of S3: what stands after the bucket; empty where it is the bucket itself."""
        return unquote(urlsplit(self.target).path).strip("/").partition("/")[2]

    @property
    def operation(self) -> str:
        """`Service.Operation`, as AWS names them. SQS and DynamoDB say it in a header or in a form; S3 by method, path
        and query. `Provider.Embed` is OpenAI's."""
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
        return next((name for said, name in known.items() if said in self.query), other)

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
    """What the sender of a request is told."""

    status: int
    headers: Mapping[str, str]
    body: bytes


Sender = socket.socket
"""The connection that a request came by."""
Deed = Callable[[Sender], Answer | None]
"""What is done instead of what was to come: the answer, or None where the connection ends without one."""


class Watcher:
    """Who is told of each request; this one looks away."""

    def came(self, request: Request, sender: Sender) -> Deed | None:
        """It is passed on once this returns, unless there is a deed to do instead."""

    def answered(self, request: Request, status: int) -> Deed | None:
        """Its sender is not told yet; and will not be, where there is a deed to do instead."""


class Meter(ThreadingHTTPServer):
    """An address for AWS_ENDPOINT_URL. A hook of botocore would not see other processes, nor what Celery sends."""

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
        """What was counted since the last time."""
        with self._lock:
            counted, self._counted = self._counted, Counter()
        return counted

    def handle_error(self, request: object, client_address: object) -> None:
        """A process that was ended breaks its connections."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Meter

    def _serve(self) -> None:
        body = self._body()
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, headers, body)
        self.server.count(request.operation)
        deed = self.server.watcher.came(request, self.connection)
        if deed is None:
            answer: Answer | None = self._passed_on(body)
            assert answer is not None
            deed = self.server.watcher.answered(request, answer.status)
        if deed is not None:
            answer = deed(self.connection)
        if answer is None:
            self.close_connection = True
        else:
            self._tell(answer)

    def _passed_on(self, body: bytes) -> Answer:
        place = self.server.upstream
        upstream = http.client.HTTPConnection(place.hostname or "", place.port, timeout=60)
        try:
            upstream.request(self.command, self.path, body, dict(self.headers))
            answer = upstream.getresponse()
            return Answer(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            upstream.close()

    def _tell(self, answer: Answer) -> None:
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
        """Quiet."""


@contextmanager
def metered(upstream: str, watcher: Watcher | None = None) -> Iterator[Meter]:
    """A meter for as long as the context lasts."""
    meter = Meter(upstream, watcher)
    thread = Thread(target=meter.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield meter
    finally:
        meter.shutdown()
        meter.server_close()
        thread.join()
