"""Source: the bytes of a file, or of a part of one, with what is known of them and the limits they are read under."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from penstock.domain.errors import Unreadable
from penstock.reading.limits import ReadLimits

if TYPE_CHECKING:
    from penstock.reading.format import Format


_FEW = 4 << 20
"""Bytes of a file that are held in memory while it is read."""


@dataclass(slots=True)
class Unfolded:
    """What a file has unfolded to so far, with all that lies in it."""

    bytes: int = 0
    files: int = 0
    """Of archives that are taken apart."""


@dataclass(frozen=True, slots=True)
class Source:
    """`place` is a path, or the bytes themselves where they are a part of another file: the child writes no files."""

    place: Path | bytes
    name: str = ""
    declared: str | None = None
    limits: ReadLimits = field(default_factory=ReadLimits)
    formats: Sequence[Format] = ()
    """That its parts may be of."""
    depth: int = 0
    """How many archives and messages it lies in."""
    pictures: bool = False
    """Whether a page without text is wanted as a picture."""
    unfolded: Unfolded = field(default_factory=Unfolded)
    apart: bool = False
    """Whether the files of an archive are wanted as they are, instead of their texts."""

    def open(self) -> BinaryIO:
        """
        Raises:
            Unreadable: the file is not there.
        """
        if isinstance(self.place, bytes):
            return BytesIO(self.place)
        try:
            return self.place.open("rb")
        except OSError as error:
            raise Unreadable(kind="a file", why=error.strerror or type(error).__name__) from error

    def held(self) -> Source:
        """The same with its bytes in the place of a path, where they are few: libraries read a file in small pieces,
        and ask the system for each.

        Raises:
            Unreadable: the file is not there.
        """
        if isinstance(self.place, bytes):
            return self
        with self.open() as file:
            size = os.fstat(file.fileno()).st_size
            return replace(self, place=file.read(size)) if 0 < size <= _FEW else self

    @property
    def size(self) -> int:
        """In bytes."""
        return len(self.place) if isinstance(self.place, bytes) else self.place.stat().st_size

    def unfold(self, size: int) -> None:
        """Count so many bytes more that came out of it.

        Raises:
            LimitHit: they are too many.
        """
        self.unfolded.bytes += size
        if self.unfolded.bytes > self.limits.archive_bytes:
            raise self.limits.hit("archive_bytes", "bytes unfolded")

    def part(self, content: bytes, name: str, declared: str | None = None) -> Source:
        """What lies in it.

        Raises:
            LimitHit: it lies too deep.
        """
        if self.depth >= self.limits.nesting:
            raise self.limits.hit("nesting", "files in each other")
        return Source(content, name, declared, self.limits, self.formats, self.depth + 1, self.pictures, self.unfolded)
