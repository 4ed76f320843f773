"""The limits on what reading one file may cost. Each is written here once, and is a setting too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from penstock.domain.errors import LimitHit

Count = Annotated[int, Meta(ge=1)]


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """The field `x` is set by the environment variable PENSTOCK_EXTRACT_X, which errors name. `Settings.extract` reads
    it."""

    seconds: Annotated[float, Meta(gt=0)] = 600
    """The wall time for reading one file, in seconds. The time in which the caller works on a page does not count."""
    cpu_seconds: Count = 600
    """The processor time for reading one file, in seconds."""
    memory_bytes: Annotated[int, Meta(ge=268_435_456)] = 2_000_000_000
    """The size of the address space of the child process that reads, in bytes."""
    open_files: Annotated[int, Meta(ge=16)] = 64
    """The number of files that the child process may have open."""
    pages: Count = 100_000
    """The maximum number of pages that one file may have."""
    chars: Count = 500_000_000
    """The maximum number of characters that one file may have."""
    archive_entries: Count = 10_000
    """The maximum number of entries of an archive. An Office document is an archive too."""
    archive_bytes: Count = 2_000_000_000
    """The number of bytes that all archives of one file, including archives within archives, may unpack to."""
    archive_ratio: Count = 200
    """An archive may unpack to its own size times this number. Any archive may unpack to 100 MB."""
    nesting: Annotated[int, Meta(ge=0)] = 5
    """How many levels deep archives and messages may lie in each other."""
    entity_chars: Annotated[int, Meta(ge=0)] = 1_000_000
    """The number of characters that the entities declared by an XML file may expand to."""
    warm_files: Count = 100
    """The number of files of one tenant after which the child process is replaced. With 1, each file is read by a
    child process of its own."""

    def hit(self, name: str, unit: str) -> LimitHit:
        """The error for the limit of this field name, such as `pages`, whose value is in this unit."""
        limit: float = getattr(self, name)
        return LimitHit(limit=f"{limit:.10g} {unit}", setting=setting_of(name))


def setting_of(name: str) -> str:
    return f"PENSTOCK_EXTRACT_{name.upper()}"
