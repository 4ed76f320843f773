"""Limits: what reading one file may cost, each by the name of its setting."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.domain.errors import LimitHit


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """Field `x` is the setting PENSTOCK_EXTRACT_X: errors name it, and `Settings.read_limits` fills it."""

    seconds: float = 600
    """Of waiting for the child; while the caller is busy with a page, the clock stands."""
    cpu_seconds: int = 600
    """Of processor time of the child."""
    memory_bytes: int = 2_000_000_000
    """Of the child's address space."""
    open_files: int = 64
    pages: int = 100_000
    chars: int = 500_000_000
    archive_entries: int = 10_000
    """Of one archive, which an Office document is as well."""
    archive_bytes: int = 2_000_000_000
    """That all archives of one file, those within archives too, may unfold to."""
    archive_ratio: int = 200
    """Times its own size that an archive may unfold to; small ones may to 100 MB."""
    nesting: int = 5
    """How deep archives and messages may lie in each other."""
    entity_chars: int = 1_000_000
    """That the entities which an XML file declares may unfold to."""
    warm_files: int = 100
    """Of one tenant, that one child reads after each other before another takes its place."""

    def hit(self, name: str, what: str) -> LimitHit:
        """The error for the limit of this name, such as `pages`, in units of `what`."""
        limit: float = getattr(self, name)
        return LimitHit(limit=f"{limit:.10g} {what}", setting=setting_of(name))


def setting_of(name: str) -> str:
    return f"PENSTOCK_EXTRACT_{name.upper()}"
