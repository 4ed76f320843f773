"""The client of the API over HTTP, as the commands use it."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import IO, Any, BinaryIO, cast
from urllib.parse import quote

import httpx
import orjson

from penstock.cli.exits import CommandError, Exit
from penstock.cli.local_run import Address
from penstock.cli.printing import readable
from penstock.documents.file_names import type_of_name

Json = dict[str, Any]

_TIMEOUT = httpx.Timeout(connect=5, read=120, write=60, pool=5)
_TRIES = 6
_MAX_WAIT = 30.0


class ApiProblem(CommandError):
    """The API answered with a problem."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.problem = dict(problem)
        super().__init__(str(problem.get("detail") or problem.get("title") or f"The API answered {status}."))


class Api:
    """Each call waits a bounded time, is repeated after a 503, and raises CommandError if no answer can be had."""

    def __init__(self, client: httpx.Client, wait: Callable[[float], object] = time.sleep) -> None:
        self._client = client
        self._wait = wait
        self._answered = False

    def add(self, path: Path, form: Mapping[str, str], sent: Callable[[int], object]) -> Json:
        """Upload one file as a stream. `sent` is called with the number of bytes of each piece.

        Raises:
            ApiProblem: the file was not accepted. The message says why.
        """

        def send() -> httpx.Response:
            with path.open("rb") as file:
                part = (
                    readable(path.name),
                    cast("IO[bytes]", _Counted(file, sent)),
                    type_of_name(path.name) or "application/octet-stream",
                )
                return self._client.post("/v1/documents", data=dict(form), files={"files": part})

        (added,) = self._request(send)["documents"]
        return dict(added)

    def add_by_upload(
        self, path: Path, form: Mapping[str, object], sent: Callable[[int], object], bucket: httpx.Client
    ) -> Json:
        """Send one file to the bucket, past the size limits of the API.

        It is hashed first, for two reasons: it gets the same id as if it were sent to the API, and it is not sent if
        the document has these bytes already.

        Raises:
            ApiProblem: the file was not accepted. The message says why.
        """
        with path.open("rb") as file:
            sha256, size = hashlib.file_digest(file, "sha256").hexdigest(), file.tell()
        announcement = {**form, "name": readable(path.name), "size": size, "sha256": sha256}
        announced = self._request(lambda: self._client.post("/v1/uploads", json=announcement))
        known = self._same_document(announced["document_id"], sha256)
        if known is not None:
            sent(size)
            return {**known, "already_here": True}

        def send() -> httpx.Response:
            with path.open("rb") as file:
                part = (readable(path.name), cast("IO[bytes]", _Counted(file, sent)))
                return bucket.post(announced["url"], data=announced["fields"], files={"file": part})

        for tries_left in reversed(range(_TRIES)):
            response = self._send(send)
            if not response.is_server_error or not tries_left:
                break
            self._wait(_seconds(response.headers.get("Retry-After")))
        if not response.is_success:
            raise ApiProblem(response.status_code, {"code": "upload_refused", "detail": _message_of_s3(response)})
        return {name: announced[name] for name in ("document_id", "task_id")} | {"already_here": False}

    def _same_document(self, document: str, sha256: str) -> Json | None:
        """The document, if these are its newest bytes and their processing has not failed. None otherwise."""
        try:
            found = self.document(document)
        except ApiProblem as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise
        same = found["sha256"] == sha256 and found["status"] not in {"failed", "cancelled", "deleting"}
        return found if same else None

    def document(self, document: str) -> Json:
        return self._get(f"/v1/documents/{_quoted(document)}")

    def documents(
        self, *, limit: int, status: Sequence[str] = (), source: Sequence[str] = (), container: str | None = None
    ) -> Iterator[Json]:
        """List at most `limit` documents, newest first, from as many pages as it takes."""
        cursor: str | None = None
        while limit > 0:
            params = {"limit": min(limit, 100), "status": list(status), "source": list(source)}
            optional = {"container": container, "cursor": cursor}
            page = self._get("/v1/documents", **params, **{name: value for name, value in optional.items() if value})
            yield from page["documents"]
            limit -= len(page["documents"])
            cursor = page["next"]
            if cursor is None:
                return

    def task(self, task: str) -> Json:
        return self._get(f"/v1/tasks/{_quoted(task)}")

    def remove(self, document: str) -> Json:
        return self._request(lambda: self._client.delete(f"/v1/documents/{_quoted(document)}"))

    def retry(self, document: str) -> Json:
        return self._request(lambda: self._client.post(f"/v1/documents/{_quoted(document)}/retry"))

    def cancel(self, document: str) -> Json:
        return self._request(lambda: self._client.post(f"/v1/documents/{_quoted(document)}/cancel"))

    def search(self, query: str, **params: object) -> Json:
        return self._get("/v1/search", q=query, **params)

    def readiness(self) -> Json:
        """The state of each dependency, by name. It is returned even if some of them do not answer."""
        response = self._send(lambda: self._client.get("/readyz"))
        body = _body(response)
        if "dependencies" not in body:
            raise ApiProblem(response.status_code, body)
        return body

    def _get(self, path: str, **params: Any) -> Json:
        return self._request(lambda: self._client.get(path, params=params))

    def _request(self, send: Callable[[], httpx.Response]) -> Json:
        for tries_left in reversed(range(_TRIES)):
            response = self._send(send)
            if response.status_code != HTTPStatus.SERVICE_UNAVAILABLE or not tries_left:
                break
            self._wait(_seconds(response.headers.get("Retry-After")))
        body = _body(response)
        if response.status_code == HTTPStatus.UNAUTHORIZED:
            raise CommandError(str(body.get("detail", "The API needs a key.")), Exit.KEY_REFUSED)
        if response.is_success:
            return body
        raise ApiProblem(response.status_code, body)

    def _send(self, send: Callable[[], httpx.Response]) -> httpx.Response:
        """Send a request. If the API cannot be reached, wait and repeat, but only if it has answered before: it may be
        restarting. One that never answered is probably not there."""
        for tries_left in reversed(range(_TRIES)):
            try:
                response = send()
            except httpx.TransportError as error:
                if not self._answered or not tries_left:
                    raise CommandError(_unreachable(self._client.base_url, error), Exit.UNREACHABLE) from None
                self._wait(2.0)
            else:
                self._answered = True
                return response
        raise AssertionError("the last try returns or raises")


class _Counted:
    """A file that reports the number of bytes of each read, so that its upload can be followed."""

    def __init__(self, file: BinaryIO, report: Callable[[int], object]) -> None:
        self._file = file
        self._report = report
        self.seek, self.tell, self.fileno = file.seek, file.tell, file.fileno

    def read(self, size: int = -1) -> bytes:
        piece = self._file.read(size)
        self._report(len(piece))
        return piece


@contextmanager
def connected(address: Address) -> Iterator[Api]:
    """A client of the API at this address.

    Raises:
        CommandError: the URL or the key is not well-formed.
    """
    try:
        base = httpx.URL(address.url)
    except httpx.InvalidURL as error:
        raise CommandError(f"PENSTOCK_URL is {address.url!r}: {error}.", Exit.USAGE) from None
    if base.scheme not in {"http", "https"} or not base.host:
        raise CommandError(
            f"PENSTOCK_URL is {address.url!r}. It has to be a URL such as https://penstock.example.", Exit.USAGE
        )
    if not (address.key.isascii() and address.key.isprintable()):
        raise CommandError("PENSTOCK_API_KEY is not a valid key: it has characters that no key has.", Exit.KEY_REFUSED)
    loopback = base.host in {"127.0.0.1", "::1", "localhost"}
    headers = {"Authorization": f"Bearer {address.key}"}
    # A proxy for the internet cannot reach the ports of this machine.
    with httpx.Client(base_url=base, headers=headers, timeout=_TIMEOUT, trust_env=not loopback) as client:
        yield Api(client)


@contextmanager
def bucket_client() -> Iterator[httpx.Client]:
    """A client that sends files to S3. It does not have the API key, which S3 must not see."""
    with httpx.Client(timeout=_TIMEOUT) as client:
        yield client


def _message_of_s3(response: httpx.Response) -> str:
    error = re.search(r"<Code>([^<]*)</Code>\s*(?:<Message>([^<]*)</Message>)?", response.text)
    reason = f"{error[1]}: {error[2] or ''}" if error else f"{response.status_code} {response.reason_phrase}"
    return f"The bucket did not accept the file ({reason.strip(': ')}). If it changed while it was sent, add it again."


def _unreachable(url: httpx.URL, error: httpx.TransportError) -> str:
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return f"Nothing answers at {url}: {error}. Start Penstock (locally: `make run`), or correct PENSTOCK_URL."
    return f"{url} stopped answering: {type(error).__name__} {error}".rstrip() + "."


def _body(response: httpx.Response) -> Json:
    try:
        body = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        body = None
    if isinstance(body, dict):
        return body
    status = f"{response.status_code} {response.reason_phrase}"
    raise CommandError(
        f"{response.url} answered {status}, but not as Penstock does. Check PENSTOCK_URL.", Exit.UNREACHABLE
    )


def _seconds(retry_after: str | None) -> float:
    try:
        return min(max(float(retry_after or 1), 0.1), _MAX_WAIT)
    except ValueError:
        return 1.0


def _quoted(part: str) -> str:
    return quote(part, safe="")
