"""Arrival: what bytes that came in mean for the record of their document. Pure functions; `receive.py` applies them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum, auto
from types import MappingProxyType

from penstock.documents.retry import is_retryable
from penstock.domain.document import Document, Original, earlier, milliseconds
from penstock.domain.errors import BeingDeleted
from penstock.domain.ids import DocumentId, TenantId
from penstock.domain.status import Status
from penstock.domain.task import Lane
from penstock.records.requeue import awaiting_message, requeued
from penstock.services import Limits


@dataclass(frozen=True, slots=True)
class Arrival:
    """Bytes in the bucket that are to become the newest generation of a document."""

    tenant: TenantId
    document: DocumentId
    original: Original
    source: str
    lane: Lane = Lane.STANDARD
    metadata: Mapping[str, str] | None = None
    container: DocumentId | None = None


class Decision(Enum):
    """What is done about an arrival."""

    CREATE = auto()
    """The document is new: its first generation is queued."""
    IGNORE = auto()
    """The event is out of date or a duplicate: the record stays as it is."""
    REFUSE = auto()
    """The document is being deleted: the arrival has to come again afterwards."""
    KEEP = auto()
    """The newest generation has these bytes already: only the object's latest version is noted."""
    RETRY = auto()
    """The newest generation has these bytes, and its attempt failed or was cancelled: a new attempt is queued."""
    REPLACE = auto()
    """The bytes are new: they are queued as a new generation."""


NEW_ATTEMPT = frozenset({Decision.CREATE, Decision.RETRY, Decision.REPLACE})
"""The decisions after which the document has to be extracted."""
NOTHING_TO_DO = frozenset({Decision.IGNORE, Decision.KEEP})
"""The decisions for which the bytes need not even be stored."""


def decide(record: Document | None, arrival: Arrival) -> Decision:
    """The decision by the state of the record and the arrival; the first row that fits counts.

    ============================== ============================== ========
    the record                     the arrival                    decision
    ============================== ============================== ========
    does not exist                 any                            CREATE
    any                            not newer, as S3 says          IGNORE
    deleting                       any                            REFUSE
    deleted                        any                            REPLACE
    failed, cancelled, cancelling  the newest generation's bytes  RETRY
    any other                      the newest generation's bytes  KEEP
    any other                      other bytes                    REPLACE
    ============================== ============================== ========
    """
    if record is None:
        return Decision.CREATE
    if _is_not_newer(arrival.original, record):
        return Decision.IGNORE
    if record.status is Status.DELETING:
        return Decision.REFUSE
    if record.status is Status.DELETED or not _has_same_bytes(arrival.original, record.original):
        return Decision.REPLACE
    return Decision.RETRY if is_retryable(record) else Decision.KEEP


def next_record(record: Document | None, arrival: Arrival, now: datetime, limits: Limits) -> Document:
    """The record after this arrival. It is the same object if nothing is to be written.

    Raises:
        BeingDeleted: the arrival is refused until the deletion is complete.
    """
    if record is None:
        return _create(arrival, now, limits)
    return _NEXT[decide(record, arrival)](record, arrival, now, limits)


def _create(arrival: Arrival, now: datetime, limits: Limits) -> Document:
    record = Document(
        tenant=arrival.tenant,
        id=arrival.document,
        generation=milliseconds(now),
        status=Status.QUEUED,
        accepted=now,
        original=arrival.original,
        source=arrival.source,
        lane=arrival.lane,
        metadata=dict(arrival.metadata or {}),
        container=arrival.container,
    )
    return awaiting_message(record, now, limits)


def _ignore(record: Document, arrival: Arrival, now: datetime, limits: Limits) -> Document:  # noqa: ARG001 - see _NEXT
    return record


def _refuse(record: Document, arrival: Arrival, now: datetime, limits: Limits) -> Document:  # noqa: ARG001
    raise BeingDeleted(document=record.id)


def _keep(record: Document, arrival: Arrival, now: datetime, limits: Limits) -> Document:  # noqa: ARG001
    """S3's later sequencer and version are noted, so that an older event of this key is still recognised as older, and
    a removal deletes the version that is in the bucket."""
    original = arrival.original
    if original.sequencer is None or original.version == record.original.version:
        return record
    latest = replace(record.original, version=original.version, sequencer=original.sequencer)
    return replace(record, original=latest)


def _retry(record: Document, arrival: Arrival, now: datetime, limits: Limits) -> Document:
    return replace(
        requeued(record, now, limits),
        original=arrival.original,
        source=arrival.source,
        lane=arrival.lane,
        metadata=dict(arrival.metadata or {}),
        container=arrival.container,
    )


def _replace(record: Document, arrival: Arrival, now: datetime, limits: Limits) -> Document:
    return replace(
        _retry(record, arrival, now, limits),
        generation=max(record.generation + 1, milliseconds(now)),
        history=(),
    )


_NEXT: Mapping[Decision, Callable[[Document, Arrival, datetime, Limits], Document]] = MappingProxyType(
    {
        Decision.IGNORE: _ignore,
        Decision.REFUSE: _refuse,
        Decision.KEEP: _keep,
        Decision.RETRY: _retry,
        Decision.REPLACE: _replace,
    }
)
"""How each decision changes a record that exists."""


def _has_same_bytes(one: Original, other: Original) -> bool:
    """Compare by sha256 if both are known, else by S3's ETag. Equal bytes have the same ETag only if they were uploaded
    in the same way, so extract compares again by sha256."""
    if one.sha256 is not None and other.sha256 is not None:
        return one.sha256 == other.sha256
    return bool(one.etag) and one.etag == other.etag


def _is_not_newer(original: Original, record: Document) -> bool:
    """Whether S3's sequencer says that this object is older than the newest known of its key, or the same. A tombstone
    knows no version, only the last sequencer."""
    newest = record.original
    if original.sequencer is None or newest.sequencer is None or original.key != newest.key:
        return False
    if original.version == newest.version:
        return True
    if record.status is Status.DELETED:
        return not earlier(newest.sequencer, original.sequencer)
    return earlier(original.sequencer, newest.sequencer)
