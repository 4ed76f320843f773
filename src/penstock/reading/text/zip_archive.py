"""Reads ZIP archives within the limits, which are checked before an archive is opened and while its members are
unpacked. Nothing is written to disk, so that no name of a member can overwrite a file."""

from __future__ import annotations

import re
import struct
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
_HEADER_FIELDS = struct.Struct("<6xHH16xHH")
"""The fields of a member's header that are used: flags, method, length of the name, length of the extra field."""
_STORED, _DEFLATED = 0, 8
_ENCRYPTED = 1
_UTF8_NAME = 0x800
"""The flags of a member: it is encrypted, its name is UTF-8."""
_DEFAULT_CODEC = "cp437"
"""The codec of names that are not UTF-8, by the ZIP standard: that of IBM's first PC."""
_METHODS = {_STORED, _DEFLATED}
_END = b"PK\x05\x06"
_LONGEST_END = 22 + 65_535
"""The maximum size of the record at the end of an archive, with its comment, in bytes."""
_SMALL = 100_000_000
"""The number of bytes that any archive may unpack to, whatever its ratio."""
_BLOCK = 1 << 18
_LEAST_ENTRY = 46
"""The minimum size of an entry in the central directory, in bytes."""
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
    """An open archive. Its members may be read several times; everything that is unpacked counts towards the limits."""

    def __init__(self, source: Source, members: dict[str, Member], *, whole: bool = True) -> None:
        self._source = source
        limits = source.limits
        self._max_unfolded = max(_SMALL, limits.archive_ratio * source.size)
        self._unfolded = 0
        self.members = {name.replace("\\", "/"): member for name, member in members.items()}
        """The members by name. Some programs write names with the backslashes of Windows, which are replaced."""
        self.whole = whole
        """False if the archive's directory is lost: these members were found by searching, and there may have been
        more."""

    @contextmanager
    def open(self, name: str) -> Iterator[_Counted]:
        """Open a member as a stream.

        Raises:
            KeyError: no member has this name.
            PasswordRequired, Unreadable: the member cannot be opened.
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
        """The content of a member.

        Raises:
            KeyError, PasswordRequired, Unreadable: as `open`.
        """
        with self.open(name) as stream:
            return b"".join(iter(lambda: stream.read(_BLOCK), b""))

    def count(self, size: int) -> None:
        """Count bytes that were unpacked.

        Raises:
            LimitHit: the archive has unpacked to more than is allowed.
        """
        self._source.unfold(size)
        self._unfolded += size
        if self._unfolded > self._max_unfolded:
            raise self._source.limits.hit("archive_ratio", "times its size unfolded")


class _Counted:
    """The stream of a member, which counts the bytes that it unpacks."""

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
    """Open an archive. If its directory is lost, its members are searched for.

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
            reason = unreadable(error)
            found = salvaged(stack.enter_context(_mapped(source, file)))
            if not found:
                raise reason from error
            yield Archive(source, found, whole=False)
            return
        if len(archive.filelist) > source.limits.archive_entries:
            raise source.limits.hit("archive_entries", "entries")
        files = [each for each in archive.filelist if not each.is_dir()]
        members = [Member(partial(archive.open, each), bool(each.flag_bits & _ENCRYPTED)) for each in files]
        yield Archive(source, dict(zip(_names(files), members, strict=True)))


def _names(files: Sequence[ZipInfo]) -> list[str]:
    """The names of the members. Those without the flag for UTF-8 are in the standard's codec by right, but most
    programs write them in the encoding of their own system, so their encoding is guessed from all of them together."""
    doubtful = [each for each in files if not each.flag_bits & _UTF8_NAME and not each.filename.isascii()]
    if not doubtful:
        return [each.filename for each in files]
    codec = encoding_of(Source("\n".join(each.filename for each in doubtful).encode(_DEFAULT_CODEC))).codec
    guessed = {id(each): each.filename.encode(_DEFAULT_CODEC).decode(codec, errors="replace") for each in doubtful}
    return [guessed.get(id(each), each.filename) for each in files]


@dataclass(frozen=True, slots=True)
class Contents:
    """What a look into an archive shows. There are no names if the file is no archive, or one that cannot be
    repaired."""

    names: frozenset[str] = frozenset()
    purpose: str = ""
    """The media type that the member `mimetype` states, which the archives of OpenDocument and EPUB have."""
    whole: bool = True
    """Whether the archive's directory is there."""


def look_into(source: Source) -> Contents:
    """The names in an archive, and what it says of itself.

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
            stated = _MEDIA_TYPE.match(stream.read(_LONGEST_PURPOSE).decode("ascii", "replace"))
    except (Unreadable, PasswordRequired):
        return ""
    return stated[0] if stated else ""


Bytes = bytes | mmap


def salvaged(content: Bytes) -> dict[str, Member]:
    """The members of an archive whose directory is lost, as in one that is cut short. Each has a header of its own."""
    found: dict[str, Member] = {}
    place = content.find(_HEADER)
    while place >= 0:
        following = content.find(_HEADER, place + 1)
        header = content[place : place + _HEADER_FIELDS.size]
        if len(header) == _HEADER_FIELDS.size:
            flags, method, name_length, extra_length = _HEADER_FIELDS.unpack(header)
            name_start = place + _HEADER_FIELDS.size
            name_end = name_start + name_length
            name = content[name_start:name_end].decode("utf-8" if flags & _UTF8_NAME else _DEFAULT_CODEC, "replace")
            start, end = name_end + extra_length, following if following >= 0 else len(content)
            if name and not name.endswith("/") and method in _METHODS:
                found[name] = Member(partial(_Piece, content, start, end, method), bool(flags & _ENCRYPTED))
        place = following
    return found


class _Piece:
    """The bytes of a salvaged member, as far as they are there."""

    def __init__(self, content: Bytes, start: int, end: int, method: int) -> None:
        self._content, self._place, self._end = content, start, end
        self._decompressor = zlib.decompressobj(-zlib.MAX_WBITS) if method == _DEFLATED else None

    def read(self, size: int = _BLOCK) -> bytes:
        if self._decompressor is None:
            block = self._content[self._place : min(self._end, self._place + size)]
            self._place += len(block)
            return bytes(block)
        while not self._decompressor.eof:
            compressed = self._decompressor.unconsumed_tail
            if not compressed:
                compressed = bytes(self._content[self._place : min(self._end, self._place + _BLOCK)])
                self._place += len(compressed)
            if not compressed:
                raise EOFError
            if block := self._decompressor.decompress(compressed, size):
                return block
        return b""

    def close(self) -> None:
        """Nothing is to be closed: the content belongs to the archive."""


@contextmanager
def _mapped(source: Source, file: BinaryIO) -> Iterator[Bytes]:
    if isinstance(source.place, bytes):
        yield source.place
        return
    with mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        yield content


def _check_entries(source: Source) -> None:
    """Check the number of entries by the record at the end of the archive, before the directory is read.

    Raises:
        LimitHit: there are too many entries.
    """
    with source.open() as file:
        file.seek(max(0, source.size - _LONGEST_END))
        tail = file.read()
    place = tail.rfind(_END)
    if place < 0 or len(tail) < place + 16:
        return
    declared = int.from_bytes(tail[place + 10 : place + 12], "little")
    possible = int.from_bytes(tail[place + 12 : place + 16], "little") // _LEAST_ENTRY
    limit = source.limits.archive_entries
    # 65535 means that another record has the count; then it is estimated from the size of the directory.
    if (declared if declared != 0xFFFF else min(possible, source.size // _LEAST_ENTRY)) > limit:  # noqa: PLR2004
        raise source.limits.hit("archive_entries", "entries")


def unreadable(error: Exception) -> Permanent:
    """The error for people: the one that was raised by Penstock, or one with the message of the library.

    Raises:
        MemoryError: that was the error.
    """
    if isinstance(error, Permanent):
        return error
    if isinstance(error, MemoryError):
        raise error
    if isinstance(error, EOFError | zlib.error):
        return Unreadable(kind="a ZIP archive", why="its compressed data is damaged or cut short")
    why = " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
    return Unreadable(kind="a ZIP archive", why=why)
