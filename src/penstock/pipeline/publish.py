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
from penstock.records.leases import Claim, held
from penstock.records.work_files import send_shards
from penstock.services import Services

log = logging.getLogger(__name__)

_LISTED = 500  # characters of page ranges in the record, which stays under 4 KB
_REFUSED = 1000


def publish_claimed(services: Services, claim: Claim, receipt: Receipt, *, sha256: str) -> Document:
    """Publish what the holder of an extract claim has indexed in the same invocation.

    Raises:
        CountsDiffer: the index holds something else than was sent.
        Fenced: a newer claim, a delete or a cancel came first; readers see what they saw.
        Transient: a service did not answer.
    """

    def still(record: Document | None) -> Document:
        record = held(record, claim)
        work = record.lease.released(claim.epoch)
        return replace(record, lease=work, original=replace(record.original, sha256=sha256))

    return _publish(services, claim.document, receipt, still)


def publish_build(services: Services, record: Document, build: Build) -> None:
    """Publish a build whose shards are all done. Whoever finds it complete may: one flip wins, the others are fenced.
    Where the index holds less than was sent, all shards are done again; their vectors are known by then.

    Raises:
        Fenced, Transient: as for `publish_claimed`.
    """
    assert build.draft is not None, "the draft is set together with the total"

    def still(found: Document | None) -> Document:
        if found is None or found.build_id != build.build_id or found.status is not Status.EMBEDDING:
            raise Fenced
        if found.cancel:
            raise Cancelled
        return found

    record = still(services.documents.read(record.tenant, record.id))
    receipt = replace(build.draft, chunks=build.chunks, embedded=record.lease.paid + build.embedded)
    try:
        _publish(services, record, receipt, still)
    except CountsDiffer as error:
        log.warning("build done again: %s", error, extra={"tenant": record.tenant, "document": record.id})
        again = update_build(services, record.tenant, record.id, build.build_id, lambda found: _once_more(found, build))
        send_shards(services, record, again)
        return
    remove_work_files(services, record, build)


def _once_more(found: Build, seen: Build) -> Build:
    if not found.complete or found.reopened != seen.reopened:
        raise Fenced  # another publisher found the same, and opened it
    return found.reopen()


def keep_edition(services: Services, claim: Claim, *, sha256: str) -> Document:
    """The bytes are those that readers see already: keep that pair, and pay for nothing."""
    now = services.clock()

    def decide(record: Document | None) -> Document:
        record = held(record, claim)
        assert record.active is not None, "the caller compared with the active edition"
        original = replace(record.original, sha256=sha256)
        receipt = replace(record.active.receipt, embedded=0, seconds=round((now - record.accepted).total_seconds(), 3))
        return record.moved(
            receipt.verdict,
            original=original,
            active=Edition(record.active.build_id, original, receipt, record.source),
            receipt=receipt,
            lease=record.lease.released(claim.epoch),
            failure=None,
            history=(),
            sweep_at=_again(services) if record.needs_cleanup else None,
        )

    _, after = update_known_record(services, claim.tenant, claim.document.id, claim.document, decide)
    assert after is not None, "keeping an edition deletes nothing"
    _clear_now(services, after)
    return after


def _publish(
    services: Services,
    record: Document,
    receipt: Receipt,
    still: Callable[[Document | None], Document],
) -> Document:
    tenant, build_id, now = record.tenant, record.build_id, services.clock()
    services.index.refresh(tenant)
    found = services.index.count(tenant, record.id, build_id)
    if found.chunks != receipt.chunks:
        raise CountsDiffer(expected=receipt.chunks, found=found.chunks)
    refused = ""
    if found.vectors != found.chunks:
        refused = ranges(services.index.without_vector(tenant, record.id, build_id, _REFUSED))
    receipt = replace(
        receipt,
        vectors=found.vectors,
        refused=refused,
        seconds=round((now - record.accepted).total_seconds(), 3),
    )
    receipt = _explained(services, record, receipt)

    def decide(found: Document | None) -> Document:
        found = still(found)
        stray = found.needs_cleanup or found.active is not None
        return found.moved(
            receipt.verdict,
            active=Edition(build_id, found.original, receipt, found.source),
            receipt=receipt,
            pages_read=0,
            pages=0,
            failure=None,
            history=(),
            needs_cleanup=stray,
            sweep_at=_again(services) if stray else None,
        )

    _, after = update_known_record(services, tenant, record.id, record, decide)
    assert after is not None, "publishing deletes nothing"
    _clear_now(services, after)
    return after


def _clear_now(services: Services, record: Document) -> None:
    if not record.needs_cleanup:
        return
    try:
        clear_stale(services, record)
    except Transient:
        # Readers are kept from the other pairs by the record; the sweep clears them when the record falls due.
        log.warning("other pairs not cleared yet", extra={"tenant": record.tenant, "document": record.id})


def is_index_complete(services: Services, record: Document) -> bool:
    """Whether the index still holds what the receipt of the active pair says."""
    if record.active is None:
        return False
    found = services.index.count(record.tenant, record.id, record.active.build_id)
    return (found.chunks, found.vectors) == (record.active.receipt.chunks, record.active.receipt.vectors)


def _again(services: Services) -> datetime:
    """When no lease that was alive at the flip can be any more: what a stalled writer still wrote is cleared then."""
    return services.clock() + services.limits.lease


def _explained(services: Services, record: Document, receipt: Receipt) -> Receipt:
    """The receipt with its long lists cut, and stored whole beside."""
    lists = {
        "pages_without_text": receipt.pages_without_text,
        "pages_damaged": receipt.pages_damaged,
        "refused": receipt.refused,
    }
    if all(len(text) <= _LISTED for text in lists.values()):
        return receipt
    key = f"receipts/{record.tenant}/{record.id}/{record.generation}/{record.build}.json"
    services.objects.put(record.tenant, key, BytesIO(orjson.dumps(lists)), content_type="application/json")
    return replace(
        receipt,
        pages_without_text=shortened(receipt.pages_without_text, _LISTED),
        pages_damaged=shortened(receipt.pages_damaged, _LISTED),
        refused=shortened(receipt.refused, _LISTED),
        explained=key,
    )
