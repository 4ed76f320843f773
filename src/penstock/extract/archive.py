"""Archives: ZIP files, looked at before they are opened, and unfolded under the limits. Nothing is written to disk, so
that names in them, whatever they say, lead nowhere."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from penstock.errors import PasswordRequired, Permanent, Unreadable
from penstock.extract.source import Source

if TYPE_CHECKING:
    from zipfile import ZipFile, ZipInfo

_END = b"PK\x05\x06"
_LONGEST_END = 22 + 65_535
_SMALL = 100_000_000
"""Bytes that any archive may unfold to, whatever its ratio."""
_BLOCK = 1 << 18
_LEAST_ENTRY = 46
"""Bytes of an entry in the central directory."""


class Archive:
    """An open archive, whose members are read as often as the limits allow."""

    def __init__(self, source: Source, opened: ZipFile) -> None:
        self._source, self._opened = source, opened
        limits = source.limits
        self._most = max(_SMALL, limits.archive_ratio * source.size)
        self._unfolded = 0
        self.members: dict[str, ZipInfo] = {each.filename: each for each in opened.infolist() if not each.is_dir()}

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """A member, to be read as a stream.

        Raises:
            KeyError: there is none of this name.
            PasswordRequired, Unreadable: it does not open.
        """
        info = self.members[name]
        if info.flag_bits & 1:
            raise PasswordRequired
        try:
            stream = self._opened.open(info)
        except Exception as error:
            raise unreadable(error) from error
        with stream:
            yield _Counted(stream, self)  # type: ignore[misc]  # as much of a stream as is used

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
        limits, unfolded = self._source.limits, self._source.unfolded
        self._unfolded += size
        unfolded.bytes += size
        if unfolded.bytes > limits.archive_bytes:
            raise limits.hit("archive_bytes", "bytes unfolded")
        if self._unfolded > self._most:
            raise limits.hit("archive_ratio", "times its size unfolded")


class _Counted:
    """A member's stream that counts what it unfolds."""

    def __init__(self, stream: IO[bytes], archive: Archive) -> None:
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
    with source.open() as file:
        try:
            archive = zipfile.ZipFile(file)
        except Exception as error:
            raise unreadable(error) from error
        with archive:
            if len(archive.filelist) > source.limits.archive_entries:
                raise source.limits.hit("archive_entries", "entries")
            yield Archive(source, archive)


def member_names(source: Source) -> frozenset[str]:
    """None where it is no archive, or one that does not open.

    Raises:
        LimitHit: it has too many entries.
    """
    try:
        with opened(source) as archive:
            return frozenset(archive.members)
    except Unreadable:
        return frozenset()


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
