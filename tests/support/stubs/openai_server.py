"""A server that speaks OpenAI's embeddings protocol over real HTTP, in a thread. A test can make it fail.

python -m tests.support.stubs.openai_server [PORT]     # runs until it is stopped
"""

from __future__ import annotations

import base64
import json
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from tests.support.fakes.embedder import bag_of_words

WINDOW_TOKENS = 8192


@dataclass(frozen=True)
class Failure:
    """A response in place of vectors. Status 0 closes the connection without a response."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = '{"error": {"message": "set to fail", "type": "stub", "code": "set_to_fail", "param": null}}'


class OpenAIServer:
    """Its vectors are bags of words. They are not of unit length, so that code that needs unit length must normalize
    them.

    Each request takes the next entry of `fail`: a failure, or None, which lets the request pass. When none is left,
    `rule` decides in the same way. `refuse` decides which texts make a request a 400, and `crash` which make it a 500.
    `headers` are sent with each response that has vectors. With `floats` the server sends lists of numbers whatever
    encoding was requested, as some servers do; `dimensions`, if set, overrides the requested number of dimensions.
    """

    def __init__(self, port: int = 0, key: str = "test-key") -> None:
        self.key = key
        self.fail: list[Failure | None] = []
        self.rule: Callable[[], Failure | None] = lambda: None
        self.refuse: Callable[[str], bool] = lambda text: False
        self.crash: Callable[[str], bool] = lambda text: False
        self.reports_usage = True
        self.headers: dict[str, str] = {}
        self.floats = False
        self.dimensions: int | None = None
        self.delay = 0.0
        """The time before each response, in seconds."""
        self.requests = 0
        self.texts: list[str] = []
        """The texts that got a vector, in order of arrival."""
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.stub = self

    @property
    def url(self) -> str:
        """The value for OPENAI_BASE_URL."""
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, authorization: str | None, request: Mapping[str, Any]) -> Failure | dict[str, Any]:
        with self._lock:
            self.requests += 1
            failure = self.fail.pop(0) if self.fail else self.rule()
        if self.delay:
            time.sleep(self.delay)
        if failure is not None:
            return failure
        if authorization != f"Bearer {self.key}":
            return _problem(401, "invalid_api_key", f"Incorrect API key provided: {authorization}.")
        texts = request["input"]
        if any(map(self.crash, texts)):
            return Failure(500)
        for text in texts:
            if not text or len(text.encode()) > WINDOW_TOKENS or self.refuse(text):
                return _problem(400, "invalid_input", "One of the texts is not acceptable.")
        with self._lock:
            self.texts += texts
        data = [
            {"object": "embedding", "index": index, "embedding": self._embedding(text, request)}
            for index, text in enumerate(texts)
        ]
        usage = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
        # reversed, because the protocol does not promise an order
        answer = {"object": "list", "model": request["model"], "data": data[::-1]}
        return answer | ({"usage": usage} if self.reports_usage else {})

    def _embedding(self, text: str, request: Mapping[str, Any]) -> str | list[float]:
        vector = 3 * bag_of_words(text, self.dimensions or request["dimensions"])
        if request.get("encoding_format") == "base64" and not self.floats:
            return base64.b64encode(vector.astype("<f4").tobytes()).decode()
        return vector.tolist()


def _problem(status: int, code: str, message: str) -> Failure:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    return Failure(status, body=json.dumps({"error": error}))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    stub: OpenAIServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed breaks its connections, which is ignored. Other errors are printed."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet: two would wait for each other's acknowledgement
    server: _Server

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/v1/embeddings":
            answer: Failure | dict[str, Any] = _problem(404, "unknown_url", f"There is no {self.path}.")
        else:
            answer = self.server.stub.answer(self.headers["Authorization"], request)
        if isinstance(answer, Failure) and answer.status == 0:
            self.close_connection = True
            return
        failed = isinstance(answer, Failure)
        status, headers = (answer.status, answer.headers) if failed else (200, self.server.stub.headers)
        body = (answer.body if failed else json.dumps(answer)).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name it has
        pass


if __name__ == "__main__":
    with OpenAIServer(int(sys.argv[1]) if len(sys.argv) > 1 else 0) as server:
        print(f"OPENAI_BASE_URL={server.url} OPENAI_API_KEY={server.key}", flush=True)
        threading.Event().wait()
