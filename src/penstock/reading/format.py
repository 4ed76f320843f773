"""A format is a way to recognize and to read one kind of file. Each module in `formats/` defines one as its FORMAT."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

from penstock.reading.kinds import Kind
from penstock.reading.protocol import Read
from penstock.reading.source import Source
from penstock.reading.text.byte_order import marked


@dataclass(frozen=True)
class Look:
    """What is known of a file's content before the file is read."""

    head: bytes
    """The first bytes of the file."""
    members: frozenset[str] = frozenset()
    """The names of the members, if the file is a ZIP archive."""
    purpose: str = ""
    """The media type that the archive states in its member `mimetype`, if it has one."""

    @cached_property
    def text(self) -> bytes:
        """The first bytes, converted to UTF-8 without a byte order mark if they are UTF-16 or UTF-32 or have a mark."""
        codec = marked(self.head)
        return self.head.decode(codec, errors="replace").encode() if codec else self.head


class Match(IntEnum):
    """How likely it is, after a look at a file, that the file is of a format."""

    NO = 0
    PERHAPS = 1
    """The bytes could be of this format; the file's name and its declared type decide."""
    ALMOST = 2
    """The file is of this format, unless another format that starts alike is certain."""
    CERTAIN = 3


@dataclass(frozen=True, slots=True)
class Format:
    """How a kind of file is recognized and read. `read` and `read_from` run in the child process only."""

    kind: Kind
    match: Callable[[Look], Match]
    read: Callable[[Source], Iterator[Read]]
    """Yields the frames of the whole file.

    Raises:
        Permanent: the file cannot be read; the error says why.
    """
    read_from: Callable[[Source, int], Iterator[Read]] | None = None
    """Yields the frames from the page of this number on. It is None for a format that has to read the pages before."""
