"""The status of a document, and which status may follow which."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from penstock.domain.errors import IllegalTransition


class Status(StrEnum):
    """The status of the newest generation of a document. `TRANSITIONS` says which status may follow which."""

    QUEUED = "queued"
    EXTRACTING = "extracting"
    EMBEDDING = "embedding"
    INDEXED = "indexed"
    PARTIAL = "partial"
    NO_TEXT = "no_text"
    FAILED = "failed"
    CANCELLED = "cancelled"
    DELETING = "deleting"
    DELETED = "deleted"


_S = Status


PUBLISHED = frozenset({_S.INDEXED, _S.PARTIAL, _S.NO_TEXT})


FINAL = PUBLISHED | {_S.FAILED, _S.CANCELLED, _S.DELETED}


TRANSITIONS: Mapping[Status, frozenset[Status]] = MappingProxyType(
    {
        _S.QUEUED: frozenset({_S.EXTRACTING, _S.CANCELLED, _S.DELETING}),
        _S.EXTRACTING: PUBLISHED | {_S.EMBEDDING, _S.FAILED, _S.CANCELLED, _S.DELETING, _S.QUEUED},
        _S.EMBEDDING: frozenset({_S.INDEXED, _S.PARTIAL, _S.FAILED, _S.CANCELLED, _S.DELETING, _S.QUEUED}),
        _S.INDEXED: frozenset({_S.QUEUED, _S.DELETING}),
        _S.PARTIAL: frozenset({_S.QUEUED, _S.DELETING}),
        _S.NO_TEXT: frozenset({_S.QUEUED, _S.DELETING}),
        _S.FAILED: frozenset({_S.QUEUED, _S.DELETING}),
        _S.CANCELLED: frozenset({_S.QUEUED, _S.DELETING}),
        _S.DELETING: frozenset({_S.DELETED}),
        _S.DELETED: frozenset({_S.QUEUED}),
    }
)
"""The statuses that may follow each status. Staying in a status is always allowed: a lease, a finished shard or a newer
generation of a queued document does not change it."""


def check_move(before: Status, after: Status) -> None:
    """Check a change of status against the table.

    Raises:
        IllegalTransition: the table does not allow it.
    """
    if after is not before and after not in TRANSITIONS[before]:
        raise IllegalTransition(before=before, after=after)
