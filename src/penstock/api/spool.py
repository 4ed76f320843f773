"""Spooling: a multipart body is written to disk and hashed as it arrives. Both memory and disk use have a limit.

Starlette's own form parser writes the whole body to disk before it calls the route, so a limit there would act too
late.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

import anyio
from anyio import to_thread
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from penstock.documents.file_names import clean_name
from penstock.domain.errors import BadRequest, RequestTooLarge, SendByUpload, TooLarge, Transient, UploadStalled

if TYPE_CHECKING:
    from hashlib import _Hash

MAX_FILES = 100
"""The maximum number of files in one request."""
_MAX_FIELDS = 20
_MAX_FIELD_BYTES = 65_536
_MIN_TOTAL_BYTES = 64 * 1024 * 1024
"""The files of one request may have this many bytes together, even if the limit of one file is smaller."""
_BLOCK_BYTES = 1024 * 1024
"""The number of bytes that are collected before a thread is asked to write them."""
_STALL_SECONDS = 60
"""A request is aborted if its sender sends no byte for this long."""


@dataclass(slots=True)
class SpooledFile:
    """A file of the form, on disk without a name: it is gone when it is closed, or when the process ends."""

    name: str
    declared: str | None
    """The Content-Type of the file's part."""
    content: BinaryIO
    size: int = 0
    digest: _Hash = field(default_factory=hashlib.sha256)

    @property
    def sha256(self) -> str:
        return self.digest.hexdigest()


@dataclass(slots=True)
class SpooledForm:
    """The fields and the files of the body."""

    fields: dict[str, str] = field(default_factory=dict)
    files: list[SpooledFile] = field(default_factory=list)

    def close(self) -> None:
        for file in self.files:
            # After a failed write on a full disk, closing fails too; the file is closed and gone all the same.
            with suppress(OSError):
                file.content.close()


@asynccontextmanager
async def spooled_form(
    request: Request, *, max_file_bytes: int, max_direct_bytes: int | None = None, stall_seconds: float = _STALL_SECONDS
) -> AsyncIterator[SpooledForm]:
    """The form of this request. Each file is positioned at its start; all of them are gone after the context.

    Args:
        max_file_bytes: the maximum size of one file. All files together may have as many bytes, or 64 MiB if that is
            more.
        max_direct_bytes: the maximum size of a whole request, if whatever stands in front of this process accepts no
            more.
        stall_seconds: the time without a byte after which the request is aborted.

    Raises:
        BadRequest: the body is not a multipart form, is cut short, or has too many parts.
        TooLarge, RequestTooLarge, SendByUpload: a limit is exceeded. It is raised as soon as this is known, before the
            rest is read.
        UploadStalled: the sender sent nothing for `stall_seconds`.
        Transient: the disk is full.
    """
    max_total_bytes = max(max_file_bytes, _MIN_TOTAL_BYTES)
    declared = request.headers.get("content-length", "")
    if max_direct_bytes is not None and declared.isdecimal() and int(declared) > max_direct_bytes:
        raise SendByUpload(limit=max_direct_bytes)
    if declared.isdecimal() and int(declared) > max_total_bytes + _MAX_FIELD_BYTES * _MAX_FIELDS:
        raise RequestTooLarge(limit=max_total_bytes)
    form, arrived = SpooledForm(), 0
    try:
        parser = _FormParser(_boundary(request), form, max_file_bytes, max_total_bytes)
        async for block in _blocks(request, stall_seconds):
            arrived += len(block)
            if max_direct_bytes is not None and arrived > max_direct_bytes:
                raise SendByUpload(limit=max_direct_bytes)
            await to_thread.run_sync(parser.feed, block)
        await to_thread.run_sync(parser.end)
        yield form
    finally:
        form.close()


async def _blocks(request: Request, stall_seconds: float) -> AsyncIterator[bytes]:
    """The body in blocks of about 1 MiB."""
    block = bytearray()
    stream = request.stream()
    while True:
        try:
            with anyio.fail_after(stall_seconds):
                piece = await anext(stream, None)
        except TimeoutError:
            raise UploadStalled(seconds=stall_seconds) from None
        if piece is None:
            break
        block += piece
        if len(block) >= _BLOCK_BYTES:
            yield bytes(block)
            block.clear()
    yield bytes(block)


def _boundary(request: Request) -> bytes:
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise BadRequest(why="Send a body of type multipart/form-data, with the files in parts named 'files'.")
    return options[b"boundary"]


class _FormParser:
    """Builds a form from the events of the multipart parser. It is called from one thread at a time."""

    def __init__(self, boundary: bytes, form: SpooledForm, max_file_bytes: int, max_total_bytes: int) -> None:
        self._form, self._max_file_bytes, self._max_total_bytes = form, max_file_bytes, max_total_bytes
        self._total_bytes = 0
        self._headers: dict[str, bytes] = {}
        self._header = self._value = b""
        self._name = ""
        self._file: SpooledFile | None = None
        self._text = bytearray()
        self._ended = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin_part,
                    "on_header_field": self._header_name,
                    "on_header_value": self._header_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._begin_content,
                    "on_part_data": self._content,
                    "on_part_end": self._end_part,
                    "on_end": self._end_form,
                },
            )
        except FormParserError as error:
            raise BadRequest(why=f"The multipart body cannot be read: {error}.") from None

    def feed(self, block: bytes) -> None:
        try:
            self._parser.write(block)
        except FormParserError as error:
            raise BadRequest(why=f"The multipart body cannot be read: {error}.") from None
        except OSError as error:
            raise Transient(why=f"the upload cannot be written to disk ({error.strerror})", retry_after=60) from error

    def end(self) -> None:
        if not self._ended:
            raise BadRequest(why="The multipart body ends before its last boundary: the upload was cut short.")
        for file in self._form.files:
            file.content.seek(0)

    def _begin_part(self) -> None:
        self._headers, self._file, self._text = {}, None, bytearray()

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        self._headers[self._header.decode("latin-1").lower()] = self._value
        self._header = self._value = b""

    def _begin_content(self) -> None:
        _, options = parse_options_header(self._headers.get("content-disposition", b""))
        self._name = _text(options.get(b"name", b""))
        if b"filename" not in options:
            if len(self._form.fields) == _MAX_FIELDS:
                raise BadRequest(why=f"A form may have at most {_MAX_FIELDS} fields in addition to its files.")
            return
        if self._name != "files":
            raise BadRequest(
                why=f"Send files in parts named 'files'. The form has a file in a part named {self._name!r}."
            )
        if len(self._form.files) == MAX_FILES:
            raise BadRequest(
                why=f"One request may have at most {MAX_FILES} files. Send the others in further requests."
            )
        declared = self._headers.get("content-type")
        self._file = SpooledFile(
            clean_name(_text(options[b"filename"])),
            None if declared is None else declared.decode("latin-1"),
            tempfile.TemporaryFile(),  # noqa: SIM115 - the form closes it
        )
        self._form.files.append(self._file)

    def _content(self, data: bytes, start: int, end: int) -> None:
        if self._file is None:
            self._text += data[start:end]
            if len(self._text) > _MAX_FIELD_BYTES:
                raise BadRequest(why=f"The field {self._name!r} has more than {_MAX_FIELD_BYTES} bytes.")
            return
        self._file.size += end - start
        self._total_bytes += end - start
        if self._file.size > self._max_file_bytes:
            raise TooLarge(limit=self._max_file_bytes)
        if self._total_bytes > self._max_total_bytes:
            raise RequestTooLarge(limit=self._max_total_bytes)
        piece = memoryview(data)[start:end]
        self._file.digest.update(piece)
        self._file.content.write(piece)

    def _end_part(self) -> None:
        if self._file is not None:
            self._file.content.flush()  # here, so that the error of a full disk is reported as one
            return
        if self._name in self._form.fields:
            raise BadRequest(why=f"The form has the field {self._name!r} twice.")
        self._form.fields[self._name] = _text(bytes(self._text))

    def _end_form(self) -> None:
        self._ended = True


def _text(raw: bytes) -> str:
    """Decode UTF-8, which current clients send; if that fails, Latin-1, which older clients send."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")
