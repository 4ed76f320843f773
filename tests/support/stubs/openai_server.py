"""A server that speaks OpenAI's embeddings protocol, and can be told to fail. Over real HTTP, in a thread.

python -m tests.support.stubs.openai_server [PORT]     # until it is stopped
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
    """An answer in place of vectors. Status 0 closes the connection without one."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = '{"error": {"message": "told to fail", "type": "stub", "code": "told_to_fail", "param": null}}'


class OpenAIServer:
    """Vectors are bags of words, not of unit length, so that whoever needs that has to see to it.

    `fail` is taken from one failure a request; None among them lets a request pass. `rule`, where nothing is left of
    it, says how each request fails or, by None, that it does not. `refuse` tells which texts make a request a 400,
    `crash` which make it a 500. `headers` go with each answer that has vectors. `floats` has the server give lists of
    numbers whatever was asked for, as some do; `dimensions` has it give so many whatever was asked for.
    """

    def __init__(self, port: int = 0, key: str = "test-key") -> None:
        self.key = key
        self.fail: list[Failure | None] = []
        self.rule: Callable[[], Failure | None] = lambda: None
        self.refuse: Callable[[str], bool] = lambda text: False
        self.crash: Callable[[str], bool] = lambda text: False
        self.tells_usage = True
        self.headers: dict[str, str] = {}
        self.floats = False
        self.dimensions: int | None = None
        self.delay = 0.0
        """Seconds before each answer."""
        self.requests = 0
        self.texts: list[str] = []
        """That were given a vector, in order of arrival."""
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.stub = self

    @property
    def url(self) -> str:
        """What OPENAI_BASE_URL is to be."""
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

    def answer(self, authorization: str | None, asked: Mapping[str, Any]) -> Failure | dict[str, Any]:
        with self._lock:
            self.requests += 1
            failure = self.fail.pop(0) if self.fail else self.rule()
        if self.delay:
            time.sleep(self.delay)
        if failure is not None:
            return failure
        if authorization != f"Bearer {self.key}":
            return _problem(401, "invalid_api_key", f"Incorrect API key provided: {authorization}.")
        texts = asked["input"]
        if any(map(self.crash, texts)):
            return Failure(500)
        for text in texts:
            if not text or len(text.encode()) > WINDOW_TOKENS or self.refuse(text):
                return _problem(400, "invalid_input", "One of the texts is not acceptable.")
        with self._lock:
            self.texts += texts
        data = [
            {"object": "embedding", "index": index, "embedding": self._embedding(text, asked)}
            for index, text in enumerate(texts)
        ]
        usage = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
        # the order is not promised
        answer = {"object": "list", "model": asked["model"], "data": data[::-1]}
        return answer | ({"usage": usage} if self.tells_usage else {})

    def _embedding(self, text: str, asked: Mapping[str, Any]) -> str | list[float]:
        vector = 3 * bag_of_words(text, self.dimensions or asked["dimensions"])
        if asked.get("encoding_format") == "base64" and not self.floats:
            return base64.b64encode(vector.astype("<f4").tobytes()).decode()
        return vector.tolist()


def _problem(status: int, code: str, message: str) -> Failure:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    return Failure(status, body=json.dumps({"error": error}))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    stub: OpenAIServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed breaks its connections; what else goes wrong here is told."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet: two would wait for each other's acknowledgement
    server: _Server

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/v1/embeddings":
            answer: Failure | dict[str, Any] = _problem(404, "unknown_url", f"There is no {self.path}.")
        else:
            answer = self.server.stub.answer(self.headers["Authorization"], asked)
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
