"""Uploads are written to disk as they arrive, and are refused as soon as they exceed a limit."""

from __future__ import annotations

import asyncio
import resource
import tracemalloc
from collections.abc import AsyncIterator, Iterator

import pytest
from starlette.requests import Request

from penstock.api.spool import spooled_form
from penstock.domain.errors import RequestTooLarge, TooLarge, Transient, UploadStalled
from tests.support.api_door import Door, is_problem, settings

MIB = 1024 * 1024
HEAD = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.txt"\r\n\r\n'
TAIL = b"\r\n--b--\r\n"
FORM = {"Content-Type": "multipart/form-data; boundary=b"}


class Body:
    """A body that counts how many of its blocks were read."""

    def __init__(self, blocks: int, block: bytes = b"x" * 65_536) -> None:
        self.blocks, self.block = blocks, block
        self.blocks_read = 0

    def __iter__(self) -> Iterator[bytes]:
        yield HEAD
        for _ in range(self.blocks):
            self.blocks_read += 1
            yield self.block
        yield TAIL

    async def receive(self) -> AsyncIterator[dict]:
        for block in self:
            yield {"type": "http.request", "body": block, "more_body": True}
        yield {"type": "http.request", "body": b"", "more_body": False}


def request(messages: AsyncIterator[dict], **headers: str) -> Request:
    raw = [(name.lower().encode(), value.encode()) for name, value in {**FORM, **headers}.items()]
    return Request({"type": "http", "method": "POST", "path": "/", "headers": raw}, messages.__anext__)


async def spool(
    messages: AsyncIterator[dict], *, max_file_bytes: int, headers=None, stall_seconds: float = 60
) -> list[int]:
    async with spooled_form(
        request(messages, **(headers or {})), max_file_bytes=max_file_bytes, stall_seconds=stall_seconds
    ) as form:
        return [file.size for file in form.files]


def test_an_upload_above_the_limit_is_refused_before_the_rest_of_it_is_read():
    body = Body(10_000)
    with pytest.raises(TooLarge):
        asyncio.run(spool(body.receive(), max_file_bytes=2 * MIB))
    assert body.blocks_read <= 3 * MIB / 65_536 + 1


def test_a_declared_length_above_the_limit_is_refused_before_anything_is_read():
    body = Body(10_000)
    with pytest.raises(RequestTooLarge):
        asyncio.run(spool(body.receive(), max_file_bytes=100 * MIB, headers={"Content-Length": str(200 * MIB)}))
    assert body.blocks_read == 0


def test_the_files_of_one_request_have_a_limit_together():
    async def many() -> AsyncIterator[dict]:
        for _ in range(100):
            yield {"type": "http.request", "body": HEAD + b"x" * MIB + b"\r\n", "more_body": True}
        yield {"type": "http.request", "body": TAIL, "more_body": False}

    with pytest.raises(RequestTooLarge):
        asyncio.run(spool(many(), max_file_bytes=2 * MIB))


@pytest.mark.invariant("I12")
def test_memory_does_not_grow_with_the_size_of_an_upload():
    """I12: memory is bounded by constants."""
    tracemalloc.start()
    try:
        assert asyncio.run(spool(Body(1_600).receive(), max_file_bytes=200 * MIB)) == [100 * MIB]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 12 * MIB


def test_a_sender_that_falls_silent_is_given_up():
    async def silent() -> AsyncIterator[dict]:
        yield {"type": "http.request", "body": HEAD, "more_body": True}
        await asyncio.Event().wait()

    with pytest.raises(UploadStalled):
        asyncio.run(spool(silent(), max_file_bytes=MIB, stall_seconds=0.01))


def test_an_upload_in_many_small_pieces_is_the_same_upload():
    whole = HEAD + b"The valve." + TAIL

    async def trickle() -> AsyncIterator[dict]:
        for place in range(len(whole)):
            yield {"type": "http.request", "body": whole[place : place + 1], "more_body": True}
        yield {"type": "http.request", "body": b"", "more_body": False}

    assert asyncio.run(spool(trickle(), max_file_bytes=MIB)) == [10]


@pytest.mark.parametrize("blocks", [1, 3, 40])
def test_an_upload_that_finds_the_disk_full_is_to_come_again(blocks):
    """This holds for small files too: a file that fits into a buffer is written only when it is complete."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(Transient, match="disk") as refused:
            asyncio.run(spool(Body(blocks, b"x" * 5_000).receive(), max_file_bytes=2 * MIB))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert refused.value.retry_after


def test_the_answer_to_an_endless_upload_is_413():
    door = Door(settings=settings(max_file_bytes=MIB))
    body = Body(200)
    is_problem(door.client().post("/v1/documents", content=iter(body), headers=FORM), 413, "file_too_large")


def test_without_a_key_no_byte_of_an_upload_is_read():
    door = Door()
    body = Body(10)

    async def status() -> int:
        sent: list[dict] = []

        async def send(message: dict) -> None:
            sent.append(message)

        scope = request(body.receive()).scope | {
            "http_version": "1.1",
            "scheme": "http",
            "server": ("testserver", 80),
            "client": ("testclient", 1),
            "path": "/v1/documents",
            "raw_path": b"/v1/documents",
            "query_string": b"",
            "root_path": "",
        }
        await door.app(scope, body.receive().__anext__, send)
        return sent[0]["status"]

    assert asyncio.run(status()) == 401
    assert body.blocks_read == 0
