"""Remove: a document leaves the index, the bucket and the table, complete and counted; a tombstone stays."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from itertools import chain

from penstock.domain.document import BuildId, Document, Original, earlier, milliseconds
from penstock.domain.errors import Fenced, LeftBehind, NotFound, Transient
from penstock.domain.ids import DocumentId, TenantId
from penstock.domain.receipt import Removal
from penstock.domain.status import Status
from penstock.domain.task import Message, Operation, Stage, TaskId
from penstock.ports import Listed
from penstock.records.compare_and_set import delete_build, update_known_record, update_record
from penstock.records.document_lease import DocumentLease
from penstock.records.work_files import FOLDERS, attempts_in, build_id_of_key, discard
from penstock.services import Services

log = logging.getLogger(__name__)


def request_removal(
    services: Services, tenant: TenantId, document: DocumentId, *, of: Original | None = None
) -> TaskId:
    """Hide the document from readers at once, and ask for its removal. Asked twice, it is the same task.

    Args:
        of: only if these still are its newest bytes.

    Raises:
        Fenced: they are not.
        NotFound: there is no such document, or it is deleted already.
        Transient: nothing was changed.
    """

    def decide(record: Document | None) -> Document:
        if record is None or record.status is Status.DELETED:
            raise NotFound(what="document", id=document)
        if of is not None and record.original != of:
            raise Fenced
        return _deleting(services, record, record.original)

    record = _revised(services, tenant, document, decide)
    return TaskId(Operation.DELETE, record.generation, record.id)


def receive_removal(services: Services, tenant: TenantId, document: DocumentId, removed: Original) -> None:
    """The drop folder says that an object was removed. One that came later than that stays. Where the object was not
    heard of yet, a tombstone is left, so that the news of its arrival is known as old when it comes.

    Args:
        removed: the key, and the sequencer of its removal.

    Raises:
        Transient: nothing was changed.
    """
    now = services.clock()

    def decide(record: Document | None) -> Document:
        if record is None:
            return _tombstone(services, tenant, document, removed, now)
        known = record.original.sequencer
        if known is not None and removed.sequencer is not None and earlier(removed.sequencer, known):
            return record
        last = replace(record.original, sequencer=removed.sequencer)
        if record.status is Status.DELETED:
            return record if last == record.original else replace(record, original=last)
        return _deleting(services, record, last)

    _revised(services, tenant, document, decide)


def _revised(
    services: Services, tenant: TenantId, document: DocumentId, decide: Callable[[Document | None], Document]
) -> Document:
    before, after = update_record(services, tenant, document, decide)
    assert after is not None, "a removal leaves a tombstone"
    if after.status is Status.DELETING and before is not None and before.status is not Status.DELETING:
        try:
            services.queue.send(Message(Stage.DELETE, tenant, document, after.generation), after.lane)
        except Transient:
            # Readers are kept from it by the record alone; the sweep sends the message when it falls due (I6).
            log.warning("no message sent; the sweep will", extra={"tenant": tenant, "document": document})
    return after


def _deleting(services: Services, record: Document, original: Original) -> Document:
    if record.status is Status.DELETING:
        return record if original == record.original else replace(record, original=original)
    return record.moved(
        Status.DELETING,
        original=original,
        sweep_at=services.clock() + services.limits.resend_after,
        resend_wait=int(services.limits.resend_after.total_seconds()),
        lease=replace(record.lease, attempts=0, not_before=None),
        failure=None,
        history=(),
        cancel=False,
    )


def _tombstone(
    services: Services, tenant: TenantId, document: DocumentId, removed: Original, now: datetime
) -> Document:
    ends = now + services.limits.keep_tombstone
    return Document(
        tenant, document, milliseconds(now), Status.DELETED, now, removed, source="", expires_at=ends, sweep_at=ends
    )


def remove(services: Services, claim: DocumentLease) -> None:
    """The delete stage. No worker holds a lease on the document any more: `take_delete` has waited for that.

    Nothing newer than this generation is touched: should this remover stall and another finish, what its user uploads
    afterwards is not its business.

    It is counted what is there, before and afterwards: the receipt says what went, and that nothing stayed.

    Raises:
        LeftBehind: something is there still, or again; to be done again.
        Fenced: another remover took over.
        Transient: a service did not answer; what is done already is no trouble when done again.
    """
    record, tenant = claim.document, claim.tenant
    noted = _noted(services, claim, _found(services, record))
    services.index.clear(tenant, record.id, older_than=_end(record))
    for original in _originals(record):
        services.objects.remove(tenant, original.key, original.version)
    for room in FOLDERS:
        for build_id, place in attempts_in(services, record, room):
            if build_id < _end(record):
                discard(services, tenant, place)
    build = services.documents.read_build(tenant, record.id, record.build_id)
    if build is not None:
        delete_build(services, build)
    left = _found(services, record)
    if left != Removal():
        raise LeftBehind(chunks=left.chunks, objects=left.objects)
    _entomb(services, noted)


def _end(record: Document) -> BuildId:
    """Newer than every pair of this generation."""
    return BuildId(record.generation + 1, 0)


def _originals(record: Document) -> set[Original]:
    return {record.original, *([record.active.original] if record.active else [])}


def _found(services: Services, record: Document) -> Removal:
    """What there is of this generation and of older ones."""
    services.index.refresh(record.tenant)
    builds = services.index.builds(record.tenant, record.id)
    chunks = sum(count.chunks for _, build_id, count in builds if build_id < _end(record))
    objects, versions, last = 0, 0, ""
    for each in chain(_versions(services, record), _files(services, record)):
        objects += each.key != last
        versions += 1
        last = each.key
    return Removal(chunks, objects, versions)


def _versions(services: Services, record: Document) -> Iterator[Listed]:
    """The recorded versions of the originals, and those older than them."""
    recorded = {(original.key, original.version) for original in _originals(record)}
    for key in sorted({key for key, _ in recorded}):
        reached = False
        for each in services.objects.listed(record.tenant, key):
            if each.key != key:
                break  # this key comes before the longer ones that begin with it
            reached = reached or (key, each.version) in recorded
            if reached and not each.marker:
                yield each


def _files(services: Services, record: Document) -> Iterator[Listed]:
    for room in FOLDERS:
        for each in services.objects.listed(record.tenant, f"{room}/{record.tenant}/{record.id}/"):
            build_id = build_id_of_key(each.key)
            if build_id is not None and build_id < _end(record) and not each.marker:
                yield each


def _noted(services: Services, claim: DocumentLease, found: Removal) -> DocumentLease:
    """The claim with what was found in its record, before any of it goes: a remover that dies has told it."""

    def decide(record: Document | None) -> Document:
        record = claim.held(record)
        removal = found if record.removal is None else record.removal.with_more(found)
        return record if removal == record.removal else replace(record, removal=removal)

    _, after = update_known_record(services, claim.tenant, claim.document.id, claim.document, decide)
    assert after is not None, "noting deletes nothing"
    return replace(claim, document=after)


def remove_missing(services: Services, claim: DocumentLease) -> None:
    """What an extract finds gone from the drop folder, somebody wants gone; the event that says so may come later, or
    not at all.

    Raises:
        Fenced: the claim was lost; whoever has it decides.
    """

    def decide(record: Document | None) -> Document:
        record = claim.held(record)
        return _deleting(services, replace(record, lease=record.lease.released(claim.epoch)), record.original)

    _revised(services, claim.tenant, claim.document.id, decide)


def _entomb(services: Services, claim: DocumentLease) -> None:
    now = services.clock()

    def decide(record: Document | None) -> Document:
        record = claim.held(record)
        ends = now + services.limits.keep_tombstone
        trace = Original(record.original.key, "", "", 0, "", sequencer=record.original.sequencer)
        return record.moved(
            Status.DELETED,
            original=trace,
            active=None,
            receipt=None,
            failure=None,
            metadata={},
            lease=record.lease.released(claim.epoch),
            needs_cleanup=False,
            cancel=False,
            expires_at=ends,
            sweep_at=ends,
        )

    update_known_record(services, claim.tenant, claim.document.id, claim.document, decide)
