"""Checks of a document that exists: one for each kind of finding."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

from penstock.documents.remove import originals, request_removal
from penstock.documents.retry import request_retry
from penstock.domain.chunk import Count
from penstock.domain.document import Document
from penstock.domain.ids import BuildId
from penstock.domain.status import FINAL, PUBLISHED
from penstock.operations.doctor.case import Case, Check, Kind, Problem, is_settled, unheard_arrival, unneeded_files
from penstock.operations.sweep import sweep_record
from penstock.ports import Listed
from penstock.records.cleanup import clear_stale
from penstock.records.compare_and_set import update_record


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
                f"{original.key} version {original.version} is not in the bucket, and Penstock did not remove it. "
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
        removed = latest.marker and is_settled(latest, case.services.clock())
    if removed:
        yield Problem(
            f"{record.original.key} is not in the drop folder any more, but the event of its removal did not arrive",
            "delete the document",
            lambda: request_removal(case.services, case.tenant, record.id, expected=record.original),
        )


def _newer_arrival_unheard(case: Case) -> Iterator[Problem]:
    latest = _latest_in_folder(case)
    if latest is None or latest.marker or not is_settled(latest, case.services.clock()):
        return
    if latest.version != case.document.original.version and latest.etag != case.document.original.etag:
        yield unheard_arrival(case, latest)


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
        case.services.index.clear(case.tenant, record.id, older_than=record.build_id, keep=case.shown)
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

    def is_unneeded(folder: str, build_id: BuildId) -> bool:
        in_work = build_id == record.build_id and record.in_work
        is_receipt_shown = folder == "receipts" and build_id == case.shown
        return build_id <= record.build_id and not in_work and not is_receipt_shown

    if not case.cleanup_is_planned:
        yield from unneeded_files(case, is_unneeded)


CHECKS_WHILE_DELETING: Mapping[Kind, Check] = MappingProxyType({Kind.OVERDUE: _overdue})
"""The checks of a document that is being deleted."""
CHECKS_OF_DOCUMENT: Mapping[Kind, Check] = MappingProxyType(
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
"""The checks of any other document, in the order in which their findings are reported."""
