"""Client: the API over HTTP, as the commands see it."""

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

from penstock.cli.exits import Exit, Stop
from penstock.cli.local_run import Address
from penstock.cli.printing import readable
from penstock.documents.file_names import type_of_name

Json = dict[str, Any]

_TIMEOUT = httpx.Timeout(connect=5, read=120, write=60, pool=5)
_TRIES = 6
_LONGEST_WAIT = 30.0


class Refused(Stop):
    """The API answered with a problem."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.problem = dict(problem)
        super().__init__(str(problem.get("detail") or problem.get("title") or f"The API answered {status}."))


class Api:
    """Each call waits a bounded time, comes again after a 503, and raises Stop where there is no answer to be had."""

    def __init__(self, client: httpx.Client, wait: Callable[[float], object] = time.sleep) -> None:
        self._client = client
        self._wait = wait
        self._answered = False

    def add(self, path: Path, form: Mapping[str, str], sent: Callable[[int], object]) -> Json:
        """Upload one file, streamed; `sent` is told of each piece's bytes.

        Raises:
            Refused: the file was not accepted; why.
        """

        def send() -> httpx.Response:
            with path.open("rb") as file:
                part = (
                    readable(path.name),
                    cast("IO[bytes]", _Counted(file, sent)),
                    type_of_name(path.name) or "application/octet-stream",
                )
                return self._client.post("/v1/documents", data=dict(form), files={"files": part})

        (added,) = self._ask(send)["documents"]
        return dict(added)

    def add_by_upload(
        self, path: Path, fields: Mapping[str, object], sent: Callable[[int], object], bucket: httpx.Client
    ) -> Json:
        """Send one file to the bucket, past the API and its limits. It is hashed first: its id is then the one that it
        would have otherwise, and what is there already is not sent.

        Raises:
            Refused: the file was not accepted; why.
        """
        with path.open("rb") as file:
            sha256, size = hashlib.file_digest(file, "sha256").hexdigest(), file.tell()
        about = {**fields, "name": readable(path.name), "size": size, "sha256": sha256}
        announced = self._ask(lambda: self._client.post("/v1/uploads", json=about))
        known = self._known(announced["document_id"], sha256)
        if known is not None:
            sent(size)
            return {**known, "already_here": True}

        def send() -> httpx.Response:
            with path.open("rb") as file:
                part = (readable(path.name), cast("IO[bytes]", _Counted(file, sent)))
                return bucket.post(announced["url"], data=announced["fields"], files={"file": part})

        for tries_left in reversed(range(_TRIES)):
            response = self._reached(send)
            if not response.is_server_error or not tries_left:
                break
            self._wait(_seconds(response.headers.get("Retry-After")))
        if not response.is_success:
            raise Refused(response.status_code, {"code": "upload_refused", "detail": _words_of_s3(response)})
        return {name: announced[name] for name in ("document_id", "task_id")} | {"already_here": False}

    def _known(self, document: str, sha256: str) -> Json | None:
        """The document, if these bytes are its newest and have not failed."""
        try:
            found = self.document(document)
        except Refused as error:
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
        """At most so many, newest first, from as many pages as it takes."""
        cursor: str | None = None
        while limit > 0:
            asked = {"limit": min(limit, 100), "status": list(status), "source": list(source)}
            named = {"container": container, "cursor": cursor}
            page = self._get("/v1/documents", **asked, **{name: value for name, value in named.items() if value})
            yield from page["documents"]
            limit -= len(page["documents"])
            cursor = page["next"]
            if cursor is None:
                return

    def task(self, task: str) -> Json:
        return self._get(f"/v1/tasks/{_quoted(task)}")

    def remove(self, document: str) -> Json:
        return self._ask(lambda: self._client.delete(f"/v1/documents/{_quoted(document)}"))

    def retry(self, document: str) -> Json:
        return self._ask(lambda: self._client.post(f"/v1/documents/{_quoted(document)}/retry"))

    def cancel(self, document: str) -> Json:
        return self._ask(lambda: self._client.post(f"/v1/documents/{_quoted(document)}/cancel"))

    def search(self, query: str, **asked: object) -> Json:
        return self._get("/v1/search", q=query, **asked)

    def readiness(self) -> Json:
        """Each dependency by name, whether all of them answer or not."""
        response = self._reached(lambda: self._client.get("/readyz"))
        said = _body(response)
        if "dependencies" not in said:
            raise Refused(response.status_code, said)
        return said

    def _get(self, path: str, **params: Any) -> Json:
        return self._ask(lambda: self._client.get(path, params=params))

    def _ask(self, send: Callable[[], httpx.Response]) -> Json:
        for tries_left in reversed(range(_TRIES)):
            response = self._reached(send)
            if response.status_code != HTTPStatus.SERVICE_UNAVAILABLE or not tries_left:
                break
            self._wait(_seconds(response.headers.get("Retry-After")))
        body = _body(response)
        if response.status_code == HTTPStatus.UNAUTHORIZED:
            raise Stop(str(body.get("detail", "The API wants a key.")), Exit.KEY_REFUSED)
        if response.is_success:
            return body
        raise Refused(response.status_code, body)

    def _reached(self, send: Callable[[], httpx.Response]) -> httpx.Response:
        """An API that never answered is not waited for; one that did may be starting again."""
        for tries_left in reversed(range(_TRIES)):
            try:
                response = send()
            except httpx.TransportError as error:
                if not self._answered or not tries_left:
                    raise Stop(_unreachable(self._client.base_url, error), Exit.UNREACHABLE) from None
                self._wait(2.0)
            else:
                self._answered = True
                return response
        raise AssertionError("the last try returns or raises")


class _Counted:
    """A file that tells how much of it was read, by whoever sends it."""

    def __init__(self, file: BinaryIO, read: Callable[[int], object]) -> None:
        self._file = file
        self._told = read
        self.seek, self.tell, self.fileno = file.seek, file.tell, file.fileno

    def read(self, size: int = -1) -> bytes:
        piece = self._file.read(size)
        self._told(len(piece))
        return piece


@contextmanager
def connected(address: Address) -> Iterator[Api]:
    """
    Raises:
        Stop: the URL is none.
    """
    try:
        base = httpx.URL(address.url)
    except httpx.InvalidURL as error:
        raise Stop(f"PENSTOCK_URL is {address.url!r}: {error}.", Exit.USAGE) from None
    if base.scheme not in {"http", "https"} or not base.host:
        raise Stop(f"PENSTOCK_URL is {address.url!r}; it should be like https://penstock.example.", Exit.USAGE)
    if not (address.key.isascii() and address.key.isprintable()):
        raise Stop("PENSTOCK_API_KEY is no key of ours: it has other characters than a key can have.", Exit.KEY_REFUSED)
    loopback = base.host in {"127.0.0.1", "::1", "localhost"}
    headers = {"Authorization": f"Bearer {address.key}"}
    # A proxy for the outside world knows nothing of this machine's own ports.
    with httpx.Client(base_url=base, headers=headers, timeout=_TIMEOUT, trust_env=not loopback) as client:
        yield Api(client)


@contextmanager
def to_the_bucket() -> Iterator[httpx.Client]:
    """What sends files to S3. It has no key, which is nothing to show there."""
    with httpx.Client(timeout=_TIMEOUT) as client:
        yield client


def _words_of_s3(response: httpx.Response) -> str:
    said = re.search(r"<Code>([^<]*)</Code>\s*(?:<Message>([^<]*)</Message>)?", response.text)
    words = f"{said[1]}: {said[2] or ''}" if said else f"{response.status_code} {response.reason_phrase}"
    return f"The bucket did not take the file ({words.strip(': ')}). If it changed while it was sent, add it again."


def _unreachable(url: httpx.URL, error: httpx.TransportError) -> str:
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return f"Nothing answers at {url}: {error}. Start it (locally: `make run`), or set PENSTOCK_URL to where it is."
    return f"{url} stopped answering: {type(error).__name__} {error}".rstrip() + "."


def _body(response: httpx.Response) -> Json:
    try:
        body = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        body = None
    if isinstance(body, dict):
        return body
    what = f"{response.status_code} {response.reason_phrase}"
    raise Stop(f"{response.url} answered {what}, and not as Penstock does. Check PENSTOCK_URL.", Exit.UNREACHABLE)


def _seconds(retry_after: str | None) -> float:
    try:
        return min(max(float(retry_after or 1), 0.1), _LONGEST_WAIT)
    except ValueError:
        return 1.0


def _quoted(part: str) -> str:
    return quote(part, safe="")
