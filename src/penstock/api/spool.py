"""Spool: a multipart body goes to disk as it comes, hashed on the way; neither memory nor disk grows beyond a limit.

Starlette's own form parser writes whole bodies to disk before a route is asked, so a limit would come too late.
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

MOST_FILES = 100
"""In one request."""
_MOST_FIELDS = 20
_FIELD_BYTES = 65_536
_ROOM_FOR_MANY = 64 * 1024 * 1024  # small files may come together, even where the limit for each is smaller than this
_BLOCK = 1024 * 1024  # what is gathered before a thread is asked to write it
_STALLED = 60  # seconds without a byte


@dataclass(slots=True)
class SpooledFile:
    """A file of the form, on disk under no name: it is gone when it is closed, or when the process ends."""

    name: str
    declared: str | None
    """The Content-Type of its part."""
    content: BinaryIO
    size: int = 0
    digest: _Hash = field(default_factory=hashlib.sha256)

    @property
    def sha256(self) -> str:
        return self.digest.hexdigest()


@dataclass(slots=True)
class Form:
    """What the body holds."""

    fields: dict[str, str] = field(default_factory=dict)
    files: list[SpooledFile] = field(default_factory=list)

    def close(self) -> None:
        for file in self.files:
            with suppress(OSError):  # what found no room finds none now: the file is closed, and gone, all the same
                file.content.close()


@asynccontextmanager
async def spooled(
    request: Request, *, largest: int, direct: int | None = None, stalled: float = _STALLED
) -> AsyncIterator[Form]:
    """The form of this request; its files, each at its beginning, are gone after the context.

    `largest` is the most bytes of one file. All files together may have as many, or 64 MiB if that is more.
    `direct` is the most of a whole request, where what is before this process takes no more.

    Raises:
        BadRequest: the body is no multipart form, is cut short, or has too many parts.
        TooLarge, SendByUpload: as soon as it is known, before the rest is read.
        UploadStalled: the sender fell silent.
        Transient: the disk is full.
    """
    together = max(largest, _ROOM_FOR_MANY)
    declared = request.headers.get("content-length", "")
    if direct is not None and declared.isdecimal() and int(declared) > direct:
        raise SendByUpload(limit=direct)
    if declared.isdecimal() and int(declared) > together + _FIELD_BYTES * _MOST_FIELDS:
        raise RequestTooLarge(limit=together)
    form, came = Form(), 0
    try:
        parser = _FormParser(_boundary(request), form, largest, together)
        async for block in _blocks(request, stalled):
            came += len(block)
            if direct is not None and came > direct:
                raise SendByUpload(limit=direct)
            await to_thread.run_sync(parser.feed, block)
        await to_thread.run_sync(parser.end)
        yield form
    finally:
        form.close()


async def _blocks(request: Request, stalled: float) -> AsyncIterator[bytes]:
    """The body in pieces of about 1 MiB."""
    gathered = bytearray()
    stream = request.stream()
    while True:
        try:
            with anyio.fail_after(stalled):
                piece = await anext(stream, None)
        except TimeoutError:
            raise UploadStalled(seconds=stalled) from None
        if piece is None:
            break
        gathered += piece
        if len(gathered) >= _BLOCK:
            yield bytes(gathered)
            gathered.clear()
    yield bytes(gathered)


def _boundary(request: Request) -> bytes:
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise BadRequest(why="Send a body of type multipart/form-data, with the files in parts named 'files'.")
    return options[b"boundary"]


class _FormParser:
    """Sorts the events of the multipart parser into a Form. Called from one thread at a time."""

    def __init__(self, boundary: bytes, form: Form, largest: int, together: int) -> None:
        self._form, self._largest, self._together = form, largest, together
        self._spooled = 0
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
            raise Transient(why=f"the upload cannot be kept on disk ({error.strerror})", retry_after=60) from error

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
            if len(self._form.fields) == _MOST_FIELDS:
                raise BadRequest(why=f"A form may have at most {_MOST_FIELDS} fields beside its files.")
            return
        if self._name != "files":
            raise BadRequest(why=f"Files are sent in parts named 'files'; there is one in {self._name!r}.")
        if len(self._form.files) == MOST_FILES:
            raise BadRequest(why=f"One request takes at most {MOST_FILES} files. Send the others in further ones.")
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
            if len(self._text) > _FIELD_BYTES:
                raise BadRequest(why=f"The field {self._name!r} has more than {_FIELD_BYTES} bytes.")
            return
        self._file.size += end - start
        self._spooled += end - start
        if self._file.size > self._largest:
            raise TooLarge(limit=self._largest)
        if self._spooled > self._together:
            raise RequestTooLarge(limit=self._together)
        piece = memoryview(data)[start:end]
        self._file.digest.update(piece)
        self._file.content.write(piece)

    def _end_part(self) -> None:
        if self._file is not None:
            self._file.content.flush()  # now, while a disk that is full has its error
            return
        if self._name in self._form.fields:
            raise BadRequest(why=f"The field {self._name!r} is there twice.")
        self._form.fields[self._name] = _text(bytes(self._text))

    def _end_form(self) -> None:
        self._ended = True


def _text(raw: bytes) -> str:
    """UTF-8, as clients have sent it for years; else Latin-1, as the older ones did."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")
