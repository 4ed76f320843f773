"""Publish: make a build the one that readers see, if the index holds exactly what its receipt says."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from io import BytesIO

import orjson

from penstock.domain.build import Build
from penstock.domain.document import Document, Edition
from penstock.domain.errors import Cancelled, CountsDiffer, Fenced, Transient
from penstock.domain.page_ranges import ranges, shortened
from penstock.domain.receipt import Receipt
from penstock.domain.status import Status
from penstock.records.cleanup import clear_stale, remove_work_files
from penstock.records.compare_and_set import update_build, update_known_record
from penstock.records.document_lease import DocumentLease
from penstock.records.work_files import send_shards
from penstock.services import Services

log = logging.getLogger(__name__)

_LONGEST_LIST = 500
"""The maximum length of a list of pages in the record, in characters: a record stays under 4 KB."""
_REFUSED = 1000
"""The maximum number of chunks without a vector that a receipt names."""


def publish_claimed(services: Services, claim: DocumentLease, receipt: Receipt, *, sha256: str) -> Document:
    """Publish what the holder of an extract claim has indexed in the same run.

    Raises:
        CountsDiffer: the index holds another number of chunks than was sent.
        Fenced: a newer claim, a removal or a cancel came first. Readers see what they saw.
        Transient: a service did not answer.
    """

    def check(record: Document | None) -> Document:
        record = claim.held(record)
        lease = record.lease.released(claim.epoch)
        return replace(record, lease=lease, original=replace(record.original, sha256=sha256))

    return _publish(services, claim.document, receipt, check)


def publish_build(services: Services, record: Document, build: Build) -> None:
    """Publish a build whose shards are all done. Any worker that finds it complete may do so: one write wins, and the
    others are fenced. Where the index holds fewer chunks than were sent, all shards are done again; by then their
    vectors are known.

    Raises:
        Fenced, Transient: as for `publish_claimed`.
    """
    assert build.draft is not None, "the draft is set together with the total"

    def check(found: Document | None) -> Document:
        if found is None or found.build_id != build.build_id or found.status is not Status.EMBEDDING:
            raise Fenced
        if found.cancel:
            raise Cancelled
        return found

    record = check(services.documents.read(record.tenant, record.id))
    receipt = replace(build.draft, chunks=build.chunks, embedded=record.lease.paid + build.embedded)
    try:
        _publish(services, record, receipt, check)
    except CountsDiffer as error:
        log.warning("build done again: %s", error, extra={"tenant": record.tenant, "document": record.id})
        reopened = update_build(services, record.tenant, record.id, build.build_id, lambda found: _reopen(found, build))
        send_shards(services, record, reopened)
        return
    remove_work_files(services, record, build)


def _reopen(found: Build, seen: Build) -> Build:
    if not found.complete or found.reopened != seen.reopened:
        raise Fenced  # another publisher found the same, and reopened the build
    return found.reopen()


def keep_edition(services: Services, claim: DocumentLease, *, sha256: str) -> Document:
    """End an extract whose bytes readers see already: their build stays the active one, and nothing is paid for."""
    now = services.clock()

    def decide(record: Document | None) -> Document:
        record = claim.held(record)
        assert record.active is not None, "the caller compared with the active edition"
        original = replace(record.original, sha256=sha256)
        receipt = replace(record.active.receipt, embedded=0, seconds=_seconds_since(record.accepted, now))
        return replace(
            record,
            status=receipt.verdict,
            original=original,
            active=Edition(record.active.build_id, original, receipt, record.source),
            receipt=receipt,
            lease=record.lease.released(claim.epoch),
            failure=None,
            history=(),
            sweep_at=_second_cleanup(services) if record.needs_cleanup else None,
        )

    _, after = update_known_record(services, claim.tenant, claim.document.id, claim.document, decide)
    assert after is not None, "keeping an edition deletes nothing"
    _clear_now(services, after)
    return after


def is_index_complete(services: Services, record: Document) -> bool:
    """Whether the index still holds as many chunks and vectors of the active build as its receipt says."""
    if record.active is None:
        return False
    found = services.index.count(record.tenant, record.id, record.active.build_id)
    return (found.chunks, found.vectors) == (record.active.receipt.chunks, record.active.receipt.vectors)


def _publish(
    services: Services,
    record: Document,
    receipt: Receipt,
    check: Callable[[Document | None], Document],
) -> Document:
    """Compare the index with the receipt, and make the record's newest build the active one in one conditional write.

    Args:
        check: gives the record as it shall be published, or raises Fenced where that is no longer wanted.
    """
    receipt = _store_long_lists(services, record, _completed(services, record, receipt))

    def decide(found: Document | None) -> Document:
        found = check(found)
        needs_cleanup = found.needs_cleanup or found.active is not None
        return replace(
            found,
            status=receipt.verdict,
            active=Edition(record.build_id, found.original, receipt, found.source),
            receipt=receipt,
            pages_read=0,
            pages=0,
            failure=None,
            history=(),
            needs_cleanup=needs_cleanup,
            sweep_at=_second_cleanup(services) if needs_cleanup else None,
        )

    _, after = update_known_record(services, record.tenant, record.id, record, decide)
    assert after is not None, "publishing deletes nothing"
    _clear_now(services, after)
    return after


def _completed(services: Services, record: Document, receipt: Receipt) -> Receipt:
    """The receipt with what the index says of the newest build.

    Raises:
        CountsDiffer: the index holds another number of chunks than was sent.
    """
    tenant, build_id, now = record.tenant, record.build_id, services.clock()
    services.index.refresh(tenant)
    found = services.index.count(tenant, record.id, build_id)
    if found.chunks != receipt.chunks:
        raise CountsDiffer(expected=receipt.chunks, found=found.chunks)
    refused = ""
    if found.vectors != found.chunks:
        refused = ranges(services.index.without_vector(tenant, record.id, build_id, _REFUSED))
    return replace(receipt, vectors=found.vectors, refused=refused, seconds=_seconds_since(record.accepted, now))


def _seconds_since(accepted: datetime, now: datetime) -> float:
    return round((now - accepted).total_seconds(), 3)


def _clear_now(services: Services, record: Document) -> None:
    if not record.needs_cleanup:
        return
    try:
        clear_stale(services, record)
    except Transient:
        # The record hides the other builds from readers. The sweep clears them when the record is due.
        log.warning("other builds not cleared yet", extra={"tenant": record.tenant, "document": record.id})


def _second_cleanup(services: Services) -> datetime:
    """When no lease that was alive at the publish can still be alive. The late chunks of a stalled writer are cleared
    then."""
    return services.clock() + services.limits.lease


def _store_long_lists(services: Services, record: Document, receipt: Receipt) -> Receipt:
    """The receipt with its long lists shortened. The whole lists are stored as an object, which the receipt names."""
    lists = {
        "pages_without_text": receipt.pages_without_text,
        "pages_damaged": receipt.pages_damaged,
        "refused": receipt.refused,
    }
    if all(len(text) <= _LONGEST_LIST for text in lists.values()):
        return receipt
    key = f"receipts/{record.tenant}/{record.id}/{record.generation}/{record.build}.json"
    services.objects.put(record.tenant, key, BytesIO(orjson.dumps(lists)), content_type="application/json")
    return replace(
        receipt,
        pages_without_text=shortened(receipt.pages_without_text, _LONGEST_LIST),
        pages_damaged=shortened(receipt.pages_damaged, _LONGEST_LIST),
        refused=shortened(receipt.refused, _LONGEST_LIST),
        explained=key,
    )
