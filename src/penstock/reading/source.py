"""A source is the content of a file, or of a file within a file, together with what is known of it and its limits."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from penstock.domain.errors import Unreadable
from penstock.reading.limits import ReadLimits

_SMALL_FILE = 4 << 20
"""A file of at most this size, in bytes, is held in memory while it is read."""


@dataclass(slots=True)
class Unfolded:
    """What has been unpacked from a file so far, including everything from the archives within it."""

    bytes: int = 0
    files: int = 0
    """The number of files in archives whose members become documents of their own."""


@dataclass(frozen=True, slots=True)
class Source:
    """The content of one file. A file within another file is bytes, because the child process writes no files."""

    place: Path | bytes
    """The path of the file, or its content."""
    name: str = ""
    declared: str | None = None
    """The media type that the sender declared."""
    limits: ReadLimits = field(default_factory=ReadLimits)
    depth: int = 0
    """The number of archives and messages that the file lies in."""
    pictures: bool = False
    """Whether a page without text shall be returned as a picture."""
    unfolded: Unfolded = field(default_factory=Unfolded)
    """The counter that a file shares with all files within it."""
    apart: bool = False
    """Whether an archive shall return its files as they are, instead of their texts."""

    def open(self) -> BinaryIO:
        """Open the content for reading.

        Raises:
            Unreadable: the file is not there.
        """
        if isinstance(self.place, bytes):
            return BytesIO(self.place)
        try:
            return self.place.open("rb")
        except OSError as error:
            raise Unreadable(kind="a file", why=error.strerror or type(error).__name__) from error

    def in_memory(self) -> Source:
        """The same source with its bytes instead of its path, if the file is small: libraries read a file in small
        pieces, and each piece of a file on disk costs a system call.

        Raises:
            Unreadable: the file is not there.
        """
        if isinstance(self.place, bytes):
            return self
        with self.open() as file:
            size = os.fstat(file.fileno()).st_size
            return replace(self, place=file.read(size)) if 0 < size <= _SMALL_FILE else self

    @property
    def size(self) -> int:
        """The size in bytes."""
        return len(self.place) if isinstance(self.place, bytes) else self.place.stat().st_size

    def unfold(self, size: int) -> None:
        """Count `size` more bytes that were unpacked from the file.

        Raises:
            LimitHit: the file has unpacked to more bytes than are allowed.
        """
        self.unfolded.bytes += size
        if self.unfolded.bytes > self.limits.archive_bytes:
            raise self.limits.hit("archive_bytes", "bytes unfolded")

    def part(self, content: bytes, name: str, declared: str | None = None) -> Source:
        """The source of a file that lies in this one.

        Raises:
            LimitHit: the file lies in too many others.
        """
        if self.depth >= self.limits.nesting:
            raise self.limits.hit("nesting", "files in each other")
        return Source(content, name, declared, self.limits, self.depth + 1, self.pictures, self.unfolded)
