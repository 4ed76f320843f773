"""Doctor's checks: what can be wrong with a document, a check for each kind, and how it is repaired."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from types import MappingProxyType

from penstock.documents.object_events import ObjectEvent, receive_object
from penstock.documents.remove import originals, request_removal
from penstock.documents.retry import request_retry
from penstock.domain.chunk import Count
from penstock.domain.document import BuildId, Document, Original
from penstock.domain.ids import TenantId
from penstock.domain.status import FINAL, PUBLISHED, Status
from penstock.operations.doctor_facts import Facts, versions_of_key
from penstock.operations.sweep import sweep_record
from penstock.ports import Listed
from penstock.records.cleanup import clear_stale
from penstock.records.compare_and_set import update_record
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
    """The index has not as many chunks or vectors as the receipt says."""
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
        wanted = (original.key, original.version, False)
        if any((each.key, each.version, each.marker) == wanted for each in self.facts.objects):
            return True
        listed = versions_of_key(self.services, self.tenant, original.key)
        return any((each.key, each.version, each.marker) == wanted for each in listed)


def findings_of(case: Case) -> list[Finding]:
    """What is wrong with this document."""
    return [
        Finding(kind, case.facts.id, problem.what, problem.remedy, problem.repair)
        for kind, check in _checks_for(case.record).items()
        for problem in check(case)
    ]


def unheard_uploads(services: Services, tenant: TenantId) -> Iterator[Finding]:
    """Files that were uploaded and not received. A file that is received leaves `uploads/` within moments."""
    for each in services.objects.listed(tenant, f"uploads/{tenant}/"):
        if each.latest and not each.marker and _is_settled(each, services.clock()):
            yield Finding(
                Kind.ARRIVAL_UNHEARD,
                each.key,
                "this upload has arrived, but its event has not",
                "receive it, or remove it if it is not awaited any more",
                partial(_receive, services, each),
            )


# Checks of a document that exists


def _overdue(case: Case) -> Iterator[Problem]:
    if not case.is_overdue:
        return
    record = case.document
    since = "never" if record.sweep_at is None else f"since {record.sweep_at.isoformat(timespec='seconds')}"
    yield Problem(
        f"it is {record.status}, and the sweep should have processed it, but has not ({since} due)",
        "process it: send its message again, or clear what is left",
        lambda: _sweep_now(case),
    )


def _sweep_now(case: Case) -> None:
    def due(found: Document | None) -> Document | None:
        if found is None or found.sweep_at is not None or found.status in FINAL:
            return found
        return replace(found, sweep_at=case.services.clock())

    update_record(case.services, case.tenant, case.facts.id, due)
    sweep_record(case.services, case.tenant, case.facts.id)


def _archive_gone(case: Case) -> Iterator[Problem]:
    """The worker that received the document had stalled until its archive was deleted."""
    record = case.document
    if case.archive_gone:
        yield Problem(
            f"it came in {record.container}, an archive that was deleted, so no search finds it",
            "delete the document",
            lambda: request_removal(case.services, case.tenant, record.id, expected=record.original),
        )


def _original_missing(case: Case) -> Iterator[Problem]:
    """A file of the drop folder may be removed by anybody: for these, see `_removal_unheard`."""
    for original in originals(case.document):
        if not original.key.startswith("drop/") and not case.is_stored(original):
            yield Problem(
                f"{original.key} version {original.version} is not in the bucket: it was not Penstock that removed it. "
                "What was indexed of it is still found; add the file again, or delete the document",
                None,
            )


def _removal_unheard(case: Case) -> Iterator[Problem]:
    record = case.document
    if not record.original.key.startswith("drop/"):
        return
    latest = _latest_in_folder(case)
    if latest is None:
        removed = not case.is_stored(record.original)
    else:
        removed = latest.marker and _is_settled(latest, case.services.clock())
    if removed:
        yield Problem(
            f"{record.original.key} is not in the drop folder any more, but the event of its removal did not arrive",
            "delete the document",
            lambda: request_removal(case.services, case.tenant, record.id, expected=record.original),
        )


def _newer_arrival_unheard(case: Case) -> Iterator[Problem]:
    latest = _latest_in_folder(case)
    if latest is None or latest.marker or not _is_settled(latest, case.services.clock()):
        return
    if latest.version != case.document.original.version and latest.etag != case.document.original.etag:
        yield _arrival(case, latest)


def _latest_in_folder(case: Case) -> Listed | None:
    """The latest version of the document's key in the drop folder, or its delete marker."""
    key = case.document.original.key
    return next((each for each in case.facts.files("drop") if each.latest and each.key == key), None)


def _chunks_left(case: Case) -> Iterator[Problem]:
    record = case.document
    end = BuildId(record.generation, record.build + (not record.in_work))
    stale = [(build_id, count) for build_id, count in case.facts.builds if build_id != case.shown and build_id < end]
    if stale and not case.cleanup_is_planned:
        yield Problem(
            f"{sum(count.chunks for _, count in stale)} chunks of {', '.join(str(each) for each, _ in stale[:5])}, "
            "which readers do not see and nobody works on",
            "clear them from the index",
            lambda: _clear(case),
        )


def _clear(case: Case) -> None:
    record = case.document
    if record.in_work:
        case.services.index.clear(case.tenant, record.id, older_than=record.build_id, but=case.shown)
    else:
        clear_stale(case.services, record)


def _counts_differ(case: Case) -> Iterator[Problem]:
    record = case.document
    if record.active is None:
        return
    build_id, receipt = record.active.build_id, record.active.receipt
    indexed = next((count for each, count in case.facts.builds if each == build_id), Count(0, 0))
    if indexed == Count(receipt.chunks, receipt.vectors):
        return
    difference = (
        f"the index holds {indexed.chunks} chunks and {indexed.vectors} vectors of {build_id}, and its "
        f"receipt says {receipt.chunks} and {receipt.vectors}"
    )
    if record.status in PUBLISHED:
        yield Problem(
            difference,
            "index it again",
            lambda: request_retry(case.services, case.tenant, record.id, statuses=PUBLISHED),
        )
    else:
        yield Problem(f"{difference}; it is {record.status}: resolve that first", None)


def _files_left(case: Case) -> Iterator[Problem]:
    record = case.document

    def is_left(folder: str, build_id: BuildId) -> bool:
        in_work = build_id == record.build_id and record.in_work
        is_receipt_shown = folder == "receipts" and build_id == case.shown
        return build_id <= record.build_id and not in_work and not is_receipt_shown

    if not case.cleanup_is_planned:
        yield from _files(case, is_left)


# Checks where no document exists, or only its tombstone


def _object_without_document(case: Case) -> Iterator[Problem]:
    for latest in _settled_files(case):
        # A version that is newer than the one found stays: somebody may be adding it just now.
        versions = (each for each in case.facts.objects if each.key == latest.key and not each.marker)
        newest = next(versions, None)
        if newest is None or _is_unheard_arrival(case, latest):
            continue  # a marker alone is what remains when a file is removed from the drop folder
        what = "a file that was removed" if latest.marker else "a file"
        yield Problem(
            f"{latest.key} is {what}, of a document that does not exist",
            "remove it from the bucket",
            partial(case.services.objects.remove, case.tenant, newest.key, newest.version),
        )


def _arrival_unheard(case: Case) -> Iterator[Problem]:
    yield from (_arrival(case, each) for each in _settled_files(case) if _is_unheard_arrival(case, each))


def _settled_files(case: Case) -> Iterator[Listed]:
    """The latest versions, or delete markers, of the files. A key that ends with a slash stands for an empty folder."""
    for each in (*case.facts.files("files"), *case.facts.files("drop")):
        if each.latest and _is_settled(each, case.services.clock()) and not each.key.endswith("/"):
            yield each


def _is_unheard_arrival(case: Case, latest: Listed) -> bool:
    """Whether this is a file of the drop folder that arrived after its document was deleted, if there was one."""
    if not latest.key.startswith("drop/") or latest.marker:
        return False
    if case.record is None or case.record.expires_at is None:
        return True
    return latest.stored > case.record.expires_at - case.services.limits.keep_tombstone


def _files_of_nobody(case: Case) -> Iterator[Problem]:
    yield from _files(case, lambda *_: True)


def _chunks_of_nobody(case: Case) -> Iterator[Problem]:
    if not case.facts.builds:
        return
    chunks = sum(count.chunks for _, count in case.facts.builds)
    newest = max(build_id for build_id, _ in case.facts.builds)
    end = BuildId(newest.generation, newest.build + 1)
    yield Problem(
        f"{chunks} chunks of a document that does not exist",
        "clear them from the index",
        lambda: case.services.index.clear(case.tenant, case.facts.id, older_than=end),
    )


# What several checks share


def _arrival(case: Case, stored: Listed) -> Problem:
    return Problem(
        f"{stored.key} is in the drop folder, but the event of its arrival did not come",
        "receive it",
        partial(_receive, case.services, stored),
    )


def _receive(services: Services, stored: Listed) -> None:
    receive_object(services, ObjectEvent(stored.key, stored.version, stored.size, stored.etag, None, removed=False))


def _files(case: Case, is_left: Callable[[str, BuildId], bool]) -> Iterator[Problem]:
    """Work files and receipts that nobody needs: a problem for each place, a folder or a key."""
    places: dict[str, None] = {}
    for folder in FOLDERS:
        for each in case.facts.files(folder):
            build_id = build_id_of_key(each.key)
            if build_id is not None and is_left(folder, build_id) and _is_settled(each, case.services.clock()):
                places.setdefault(location_of_key(each.key))
    for place in places:
        yield Problem(
            f"{place} belongs to no attempt under way, and to nothing that readers see",
            "remove it from the bucket",
            partial(discard, case.services, case.tenant, place),
        )


def _is_settled(stored: Listed, now: datetime) -> bool:
    return stored.stored + _SETTLING <= now


Check = Callable[[Case], Iterator[Problem]]

_CHECKS_WITHOUT_DOCUMENT: Mapping[Kind, Check] = MappingProxyType(
    {
        Kind.OBJECT_WITHOUT_DOCUMENT: _object_without_document,
        Kind.ARRIVAL_UNHEARD: _arrival_unheard,
        Kind.FILES_LEFT: _files_of_nobody,
        Kind.CHUNKS_LEFT: _chunks_of_nobody,
    }
)
_CHECKS_WHILE_DELETING: Mapping[Kind, Check] = MappingProxyType({Kind.OVERDUE: _overdue})
_CHECKS_OF_DOCUMENT: Mapping[Kind, Check] = MappingProxyType(
    {
        Kind.OVERDUE: _overdue,
        Kind.ARCHIVE_GONE: _archive_gone,
        Kind.ORIGINAL_MISSING: _original_missing,
        Kind.REMOVAL_UNHEARD: _removal_unheard,
        Kind.ARRIVAL_UNHEARD: _newer_arrival_unheard,
        Kind.CHUNKS_LEFT: _chunks_left,
        Kind.COUNTS_DIFFER: _counts_differ,
        Kind.FILES_LEFT: _files_left,
    }
)


def _checks_for(record: Document | None) -> Mapping[Kind, Check]:
    """The checks in the order in which their findings are reported."""
    if record is None or record.status is Status.DELETED:
        return _CHECKS_WITHOUT_DOCUMENT
    return _CHECKS_WHILE_DELETING if record.status is Status.DELETING else _CHECKS_OF_DOCUMENT
