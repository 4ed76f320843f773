"""The case of one document: what the doctor knows of it, what it can find wrong, and what several checks share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial

from penstock.documents.object_events import ObjectEvent, receive_object
from penstock.domain.document import Document, Original
from penstock.domain.ids import BuildId, TenantId
from penstock.domain.status import FINAL
from penstock.operations.doctor.facts import Facts, versions_of_key
from penstock.ports import Listed
from penstock.records.work_files import FOLDERS, build_id_of_key, discard, location_of_key
from penstock.services import Services

_SETTLING = timedelta(hours=1)
"""An object that was stored less than this long ago is not judged: its event, record or removal may be on its way."""
_OVERDUE = timedelta(minutes=30)
"""How long after a record fell due it is reported. The sweep runs far more often."""


class Kind(StrEnum):
    """What can be wrong with a document."""

    ORIGINAL_MISSING = "original_missing"
    """The bucket does not have the document's file."""
    OBJECT_WITHOUT_DOCUMENT = "object_without_document"
    """The bucket has a file of a document that does not exist."""
    ARRIVAL_UNHEARD = "arrival_unheard"
    """A file arrived, but its event did not."""
    REMOVAL_UNHEARD = "removal_unheard"
    """A file was removed from the drop folder, but the event of that did not arrive."""
    FILES_LEFT = "files_left"
    """The bucket has work files or receipts that nobody needs."""
    CHUNKS_LEFT = "chunks_left"
    """The index has chunks that no reader sees."""
    COUNTS_DIFFER = "counts_differ"
    """The number of chunks or vectors in the index is not the one that the receipt says."""
    OVERDUE = "overdue"
    """The sweep should have processed the document and has not."""
    ARCHIVE_GONE = "archive_gone"
    """The document came in an archive that was deleted."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong with a document, and how it can be repaired."""

    kind: Kind
    document: str
    """The id of the document; for an upload that was not received, its key."""
    what: str
    remedy: str | None
    """What the repair does. It is None if Penstock cannot repair this; `what` then says what a person can do."""
    repair: Callable[[], object] = field(repr=False, compare=False, default=lambda: None)


@dataclass(frozen=True, slots=True)
class Problem:
    """A finding, except for its kind and document, which the caller of the check knows."""

    what: str
    remedy: str | None
    repair: Callable[[], object] = lambda: None


@dataclass(frozen=True, slots=True)
class Case:
    """One document: its record, and what bucket and index hold of it."""

    services: Services
    tenant: TenantId
    facts: Facts
    record: Document | None
    archive_gone: bool
    """Whether the document came in an archive that was deleted."""

    @property
    def document(self) -> Document:
        """The record, for checks of a document that exists."""
        assert self.record is not None, "checks of documents run only if there is a record"
        return self.record

    @property
    def is_overdue(self) -> bool:
        """Whether the sweep should have processed the record and has not, or would never find it."""
        sweep_at = self.document.sweep_at
        if sweep_at is None:
            return self.document.status not in FINAL
        return sweep_at + _OVERDUE <= self.services.clock()

    @property
    def cleanup_is_planned(self) -> bool:
        """Whether what is left will be cleared anyway: by the sweep, or when the attempt ends."""
        return self.document.needs_cleanup and not self.is_overdue

    @property
    def shown(self) -> BuildId | None:
        """The active build."""
        return self.document.active.build_id if self.document.active else None

    def is_stored(self, original: Original) -> bool:
        """Whether the bucket has exactly this version."""
        wanted = (original.key, original.version, False)
        if any((each.key, each.version, each.marker) == wanted for each in self.facts.objects):
            return True
        listed = versions_of_key(self.services, self.tenant, original.key)
        return any((each.key, each.version, each.marker) == wanted for each in listed)


Check = Callable[[Case], Iterator[Problem]]
"""A check for one kind of finding, on one document."""


# What several checks share


def unheard_arrival(case: Case, stored: Listed) -> Problem:
    """The problem that a file of the drop folder was not received."""
    return Problem(
        f"{stored.key} is in the drop folder, but the event of its arrival did not come",
        "receive it",
        partial(receive_found, case.services, stored),
    )


def receive_found(services: Services, stored: Listed) -> None:
    """Receive an object that was found in the bucket, as if its event had come."""
    receive_object(services, ObjectEvent(stored.key, stored.version, stored.size, stored.etag, None, removed=False))


def unneeded_files(case: Case, is_unneeded: Callable[[str, BuildId], bool]) -> Iterator[Problem]:
    """Work files and receipts that nobody needs: a problem for each place, a folder or a key."""
    places: dict[str, None] = {}
    for folder in FOLDERS:
        for each in case.facts.files(folder):
            build_id = build_id_of_key(each.key)
            if build_id is not None and is_unneeded(folder, build_id) and is_settled(each, case.services.clock()):
                places.setdefault(location_of_key(each.key))
    for place in places:
        yield Problem(
            f"{place} belongs to no attempt under way, and to nothing that readers see",
            "remove it from the bucket",
            partial(discard, case.services, case.tenant, place),
        )


def is_settled(stored: Listed, now: datetime) -> bool:
    """Whether the object was stored so long ago that its event, record or removal should have come."""
    return stored.stored + _SETTLING <= now
