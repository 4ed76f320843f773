"""Format: what the registry knows of a kind of file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from penstock.extract.frames import Read


class Match(IntEnum):
    """What the first bytes of a file say of a format."""

    NO = 0
    PERHAPS = 1
    """The bytes could be this; the name and the declared type decide."""
    CERTAIN = 2


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of file, and how it is read. `read` runs in the child process only."""

    kind: str
    title: str
    """For people: "The file cannot be read as {title}"."""
    suffixes: frozenset[str]
    media_types: frozenset[str]
    match: Callable[[bytes], Match]
    """Takes the first bytes of the file."""
    read: Callable[[Path], Iterator[Read]]
    """
    Raises:
        Permanent: the file cannot be read; why.
    """
    read_from: Callable[[Path, int], Iterator[Read]] | None = None
    """The same from this page on, where it need not read what is before."""
