"""Archives: ZIP files, looked at before they are opened, and unfolded under the limits. Nothing is written to disk, so
that names in them, whatever they say, lead nowhere."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from mmap import ACCESS_READ, mmap
from typing import TYPE_CHECKING, BinaryIO, Protocol

from penstock.domain.errors import PasswordRequired, Permanent, Unreadable
from penstock.reading.source import Source
from penstock.reading.text.encoding import encoding_of

if TYPE_CHECKING:
    from zipfile import ZipInfo

_HEADER = b"PK\x03\x04"
_HEADER_BYTES = 30
_STORED, _DEFLATED = 0, 8
_UNICODE = 0x800
_PC = "cp437"
_METHODS = {_STORED, _DEFLATED}
_END = b"PK\x05\x06"
_LONGEST_END = 22 + 65_535
_SMALL = 100_000_000
"""Bytes that any archive may unfold to, whatever its ratio."""
_BLOCK = 1 << 18
_LEAST_ENTRY = 46
"""Bytes of an entry in the central directory."""
_PURPOSE = "mimetype"
_LONGEST_PURPOSE = 255
_MEDIA_TYPE = re.compile(r"[\w.+-]{1,100}/[\w.+-]{1,100}", re.ASCII)


class Stream(Protocol):
    def read(self, size: int = ..., /) -> bytes: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Member:
    """A file in an archive."""

    open: Callable[[], Stream]
    encrypted: bool


class Archive:
    """An open archive, whose members are read as often as the limits allow."""

    def __init__(self, source: Source, members: dict[str, Member], *, whole: bool = True) -> None:
        self._source = source
        limits = source.limits
        self._most = max(_SMALL, limits.archive_ratio * source.size)
        self._unfolded = 0
        self.members = {name.replace("\\", "/"): member for name, member in members.items()}
        """By name; some programs write names as Windows does."""
        self.whole = whole
        """False where its directory is lost: these members were found, and there may have been more."""

    @contextmanager
    def open(self, name: str) -> Iterator[_Counted]:
        """A member, to be read as a stream.

        Raises:
            KeyError: there is none of this name.
            PasswordRequired, Unreadable: it does not open.
        """
        member = self.members[name]
        if member.encrypted:
            raise PasswordRequired
        try:
            stream = member.open()
        except Exception as error:
            raise unreadable(error) from error
        with closing(stream):
            yield _Counted(stream, self)

    def read(self, name: str) -> bytes:
        """The whole of a member.

        Raises:
            KeyError, PasswordRequired, Unreadable: as `open`.
        """
        with self.open(name) as stream:
            return b"".join(iter(lambda: stream.read(_BLOCK), b""))

    def count(self, size: int) -> None:
        """
        Raises:
            LimitHit: it is an archive that unfolds to too much.
        """
        self._source.unfold(size)
        self._unfolded += size
        if self._unfolded > self._most:
            raise self._source.limits.hit("archive_ratio", "times its size unfolded")


class _Counted:
    """A member's stream that counts what it unfolds."""

    def __init__(self, stream: Stream, archive: Archive) -> None:
        self._stream, self._archive = stream, archive

    def read(self, size: int = _BLOCK) -> bytes:
        try:
            block = self._stream.read(size)
        except Exception as error:
            raise unreadable(error) from error
        self._archive.count(len(block))
        return block


@contextmanager
def opened(source: Source) -> Iterator[Archive]:
    """
    Raises:
        LimitHit: it has too many entries.
        Unreadable: it is damaged.
    """
    import zipfile  # noqa: PLC0415 - other formats do not need it

    _check_entries(source)
    with source.open() as file, ExitStack() as stack:
        try:
            archive = stack.enter_context(zipfile.ZipFile(file))
        except Exception as error:
            refused = unreadable(error)
            found = salvaged(stack.enter_context(_mapped(source, file)))
            if not found:
                raise refused from error
            yield Archive(source, found, whole=False)
            return
        if len(archive.filelist) > source.limits.archive_entries:
            raise source.limits.hit("archive_entries", "entries")
        files = [each for each in archive.filelist if not each.is_dir()]
        members = [Member(partial(archive.open, each), bool(each.flag_bits & 1)) for each in files]
        yield Archive(source, dict(zip(_names(files), members, strict=True)))


def _names(files: Sequence[ZipInfo]) -> list[str]:
    """Those that are not said to be Unicode are by the standard of IBM's first PC, but most programs write them in what
    their own system uses."""
    untold = [each for each in files if not each.flag_bits & _UNICODE and not each.filename.isascii()]
    if not untold:
        return [each.filename for each in files]
    codec = encoding_of(Source("\n".join(each.filename for each in untold).encode(_PC))).codec
    told = {id(each): each.filename.encode(_PC).decode(codec, errors="replace") for each in untold}
    return [told.get(id(each), each.filename) for each in files]


@dataclass(frozen=True, slots=True)
class Contents:
    """What a look into an archive shows. No names where it is none, or is beyond repair."""

    names: frozenset[str] = frozenset()
    purpose: str = ""
    """The media type that its own member `mimetype` says, as OpenDocument's and EPUB's do."""
    whole: bool = True
    """Whether its directory is there."""


def look_into(source: Source) -> Contents:
    """
    Raises:
        LimitHit: it has too many entries.
    """
    try:
        with opened(source) as archive:
            return Contents(frozenset(archive.members), _purpose(archive), archive.whole)
    except Unreadable:
        return Contents()


def _purpose(archive: Archive) -> str:
    if _PURPOSE not in archive.members:
        return ""
    try:
        with archive.open(_PURPOSE) as stream:
            said = _MEDIA_TYPE.match(stream.read(_LONGEST_PURPOSE).decode("ascii", "replace"))
    except (Unreadable, PasswordRequired):
        return ""
    return said[0] if said else ""


Bytes = bytes | mmap


def salvaged(content: Bytes) -> dict[str, Member]:
    """The files of an archive whose directory is lost, as one that is cut short is: each has a header of its own."""
    found: dict[str, Member] = {}
    place = content.find(_HEADER)
    while place >= 0:
        following = content.find(_HEADER, place + 1)
        header = content[place : place + _HEADER_BYTES]
        if len(header) == _HEADER_BYTES:
            flags, method, name_length, more = (int.from_bytes(header[at : at + 2], "little") for at in (6, 8, 26, 28))
            start = place + _HEADER_BYTES + name_length
            name = content[place + _HEADER_BYTES : start].decode("utf-8" if flags & _UNICODE else _PC, "replace")
            end = following if following >= 0 else len(content)
            if name and not name.endswith("/") and method in _METHODS:
                found[name] = Member(partial(_Piece, content, start + more, end, method), bool(flags & 1))
        place = following
    return found


class _Piece:
    """A file's bytes, as far as they are there."""

    def __init__(self, content: Bytes, start: int, end: int, method: int) -> None:
        self._content, self._place, self._end = content, start, end
        self._unfolder = zlib.decompressobj(-zlib.MAX_WBITS) if method == _DEFLATED else None

    def read(self, size: int = _BLOCK) -> bytes:
        if self._unfolder is None:
            block = self._content[self._place : min(self._end, self._place + size)]
            self._place += len(block)
            return bytes(block)
        while not self._unfolder.eof:
            given = self._unfolder.unconsumed_tail
            if not given:
                given = bytes(self._content[self._place : min(self._end, self._place + _BLOCK)])
                self._place += len(given)
            if not given:
                raise EOFError
            if block := self._unfolder.decompress(given, size):
                return block
        return b""

    def close(self) -> None:
        """What it reads from is another's."""


@contextmanager
def _mapped(source: Source, file: BinaryIO) -> Iterator[Bytes]:
    if isinstance(source.place, bytes):
        yield source.place
        return
    with mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        yield content


def _check_entries(source: Source) -> None:
    """What the end of the archive says of its directory, before the directory is read."""
    with source.open() as file:
        file.seek(max(0, source.size - _LONGEST_END))
        tail = file.read()
    place = tail.rfind(_END)
    if place < 0 or len(tail) < place + 16:
        return
    declared = int.from_bytes(tail[place + 10 : place + 12], "little")
    possible = int.from_bytes(tail[place + 12 : place + 16], "little") // _LEAST_ENTRY
    limit = source.limits.archive_entries
    # 65535 says that another record has the count; then the size of the directory tells.
    if (declared if declared != 0xFFFF else min(possible, source.size // _LEAST_ENTRY)) > limit:  # noqa: PLR2004
        raise source.limits.hit("archive_entries", "entries")


def unreadable(error: Exception) -> Permanent:
    """For people: what the library said of an archive, or what was said before."""
    if isinstance(error, Permanent):
        return error
    if isinstance(error, MemoryError):
        raise error
    if isinstance(error, EOFError | zlib.error):
        return Unreadable(kind="a ZIP archive", why="its compressed data is damaged or cut short")
    said = " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
    return Unreadable(kind="a ZIP archive", why=said)
