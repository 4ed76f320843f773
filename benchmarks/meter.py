"""A meter before an AWS emulator: passes requests on, whoever sends them, and counts them by service and operation."""

from __future__ import annotations

import http.client
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from urllib.parse import parse_qs, urlsplit

_OPERATIONS = {"DynamoDB_20120810": "DynamoDB", "AmazonSQS": "SQS"}
_HOP = {"transfer-encoding", "content-length", "connection", "keep-alive"}


class Meter(ThreadingHTTPServer):
    """An address for AWS_ENDPOINT_URL. A hook of botocore would not see other processes, nor what Celery sends."""

    daemon_threads = True

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = urlsplit(upstream)
        self.url = f"http://127.0.0.1:{self.server_port}"
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

    def _pass_on(self) -> None:
        body = self._body()
        self.server.count(operation_of(self.command, self.path, dict(self.headers.items()), body))
        place = self.server.upstream
        upstream = http.client.HTTPConnection(place.hostname or "", place.port, timeout=60)
        try:
            upstream.request(self.command, self.path, body, dict(self.headers))
            answer = upstream.getresponse()
            content = answer.read()
        finally:
            upstream.close()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in _HOP:
                self.send_header(name, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
        self.send_header("Content-Length", length or "0")
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _pass_on  # noqa: N815 - as http.server calls them

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


def operation_of(method: str, path: str, headers: dict[str, str], body: bytes) -> str:
    """`Service.Operation`, as AWS names them. SQS and DynamoDB say it in a header or in a form; S3 by method, path and
    query."""
    named = {name.lower(): value for name, value in headers.items()}
    service, _, operation = named.get("x-amz-target", "").partition(".")
    if service in _OPERATIONS:
        return f"{_OPERATIONS[service]}.{operation}"
    if named.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return f"SQS.{parse_qs(body.decode())['Action'][0]}"
    url = urlsplit(path)
    query = parse_qs(url.query, keep_blank_values=True)
    of_object = url.path.strip("/").count("/") > 0
    return f"S3.{_s3(method, query, named, of_object=of_object)}"


def _s3(method: str, query: dict[str, list[str]], headers: dict[str, str], *, of_object: bool) -> str:
    if not of_object:
        known = {"versions": "ListObjectVersions", "delete": "DeleteObjects"}
        return next((name for said, name in known.items() if said in query), f"{method} of the bucket")
    if method == "PUT":
        part = "partNumber" in query
        copy = "x-amz-copy-source" in headers
        return ("UploadPartCopy" if copy else "UploadPart") if part else ("CopyObject" if copy else "PutObject")
    if method == "POST":
        return "CreateMultipartUpload" if "uploads" in query else "CompleteMultipartUpload"
    return {"GET": "GetObject", "HEAD": "HeadObject", "DELETE": "DeleteObject"}[method]


@contextmanager
def metered(upstream: str) -> Iterator[Meter]:
    """A meter for as long as the context lasts."""
    meter = Meter(upstream)
    thread = Thread(target=meter.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield meter
    finally:
        meter.shutdown()
        meter.server_close()
        thread.join()
