"""Format: what the registry knows of a kind of file."""

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
    """What can be seen of a file before it is read."""

    head: bytes
    """Its first bytes."""
    members: frozenset[str] = frozenset()
    """The names in it, where it is a ZIP archive."""
    purpose: str = ""
    """The media type that the archive itself says, where it does."""

    @cached_property
    def text(self) -> bytes:
        """Its first bytes in UTF-8, without a byte order mark, where they are of UTF-16 or UTF-32 or have a mark."""
        codec = marked(self.head)
        return self.head.decode(codec, errors="replace").encode() if codec else self.head


class Match(IntEnum):
    """What a look at a file says of a format."""

    NO = 0
    PERHAPS = 1
    """The bytes could be this; the name and the declared type decide."""
    ALMOST = 2
    """It is this, unless one of those that begin alike is certain."""
    CERTAIN = 3


@dataclass(frozen=True, slots=True)
class Format:
    """How a kind of file is read. `read` runs in the child process only."""

    of: Kind
    match: Callable[[Look], Match]
    read: Callable[[Source], Iterator[Read]]
    """
    Raises:
        Permanent: the file cannot be read; why.
    """
    read_from: Callable[[Source, int], Iterator[Read]] | None = None
    """The same from this page on, where it need not read what is before."""
