"""Doctor: compare what table, bucket and index say of each document of a tenant, and mend what they disagree about.

The three are listed once, and the lists brought together by a sort on disk, so that memory does not grow with their
length. They are of three moments, and the tenant works on meanwhile: so what looks wrong there is looked at again, as
it is now, before it is said. Nothing is mended but by the verbs that anybody else uses, each of which asks the record
once more (I2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import chain, groupby, islice, takewhile

import orjson

from penstock.documents.receive import ObjectEvent, receive_object
from penstock.documents.remove import request_removal
from penstock.documents.retry import request_retry
from penstock.domain.chunk import Count
from penstock.domain.document import BuildId, Document, Original, milliseconds, moment
from penstock.domain.ids import DocumentId, TenantId, derived_id, is_tenant_id
from penstock.domain.status import FINAL, PUBLISHED, Status
from penstock.operations.external_sort import RUN, sorted_on_disk
from penstock.operations.sweep import see_to
from penstock.ports import Listed
from penstock.records.cleanup import clear_stale
from penstock.records.compare_and_set import update_record
from penstock.records.work_files import FOLDERS, build_id_of_key, discard, location_of_key
from penstock.services import Services

_SETTLING = timedelta(hours=1)
"""What was stored since then may still be on its way: its event, its record, its clearing."""
_OVERDUE = timedelta(minutes=30)
"""The sweep comes by far more often."""
_BATCH = 100
"""Records that are read at once."""
_PAGE = 1000
_LOOKS = 3
"""At a document that changes under the look."""
_MOST = 1000
"""Facts of one document that are held; whoever misses one among them looks for it by itself."""


class Kind(StrEnum):
    """What can be wrong."""

    ORIGINAL_MISSING = "original_missing"
    OBJECT_WITHOUT_DOCUMENT = "object_without_document"
    ARRIVAL_UNHEARD = "arrival_unheard"
    REMOVAL_UNHEARD = "removal_unheard"
    FILES_LEFT = "files_left"
    CHUNKS_LEFT = "chunks_left"
    COUNTS_DIFFER = "counts_differ"
    OVERDUE = "overdue"
    ARCHIVE_GONE = "archive_gone"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong with a document, what would be done about it, and the doing."""

    kind: Kind
    document: str
    """Its id; of an upload, the key."""
    what: str
    remedy: str | None
    """None where it cannot be mended from here; then `what` says by whom."""
    mend: Callable[[], object] = field(repr=False, compare=False, default=lambda: None)


@dataclass(slots=True)
class _Facts:
    """What bucket and index have of a document."""

    id: DocumentId
    objects: list[Listed] = field(default_factory=list)
    builds: list[tuple[BuildId, Count]] = field(default_factory=list)

    def files(self, room: str) -> list[Listed]:
        return [each for each in self.objects if each.key.startswith(f"{room}/")]


def all_tenants(services: Services) -> list[TenantId]:
    """Who has documents or objects.

    Raises:
        Transient: a service did not answer.
    """
    named = services.objects.tenants()
    return sorted(services.documents.tenants() | {TenantId(name) for name in named if is_tenant_id(name)})


def examine(services: Services, tenant: TenantId, *, run: int = RUN) -> Iterator[Finding]:
    """What is wrong, document by document.

    Args:
        run: lines held in memory while they are sorted.

    Raises:
        Transient: a service did not answer.
    """
    services.index.refresh(tenant)
    with sorted_on_disk(_lines(services, tenant), run=run) as lines:
        seen = _by_document(lines)
        while batch := list(islice(seen, _BATCH)):
            records = services.documents.read_many(tenant, [facts.id for facts in batch])
            archives = {record.container for record in records.values() if record.container} - records.keys()
            records = {**records, **services.documents.read_many(tenant, sorted(archives))}
            for facts in batch:
                if _case(services, tenant, facts, records).findings():
                    yield from _looked_at_again(services, tenant, facts)
    yield from _uploads(services, tenant)


# What there is


def _lines(services: Services, tenant: TenantId) -> Iterator[str]:
    """Each fact as a line that begins with its document's id."""
    for room in ("files", "drop", *FOLDERS):
        for each in services.objects.listed(tenant, f"{room}/{tenant}/"):
            whose = derived_id(tenant, each.key) if room == "drop" else each.key.split("/")[2]
            fact = (each.key, each.version, each.etag, milliseconds(each.stored), each.latest, each.marker)
            yield f"{whose}\t{orjson.dumps(fact).decode()}"
    for document, build_id, held in services.index.builds(tenant):
        fact_of_pair = (build_id.generation, build_id.build, held.chunks, held.vectors)
        yield f"{document}\t{orjson.dumps(fact_of_pair).decode()}"
    before = None
    while places := services.documents.newest(tenant, _PAGE, before):
        yield from (f"{document}\t[]" for _, document in places)
        before = places[-1]


def _by_document(lines: Iterable[str]) -> Iterator[_Facts]:
    for document, of_document in groupby(lines, key=lambda line: line.partition("\t")[0]):
        facts = _Facts(DocumentId(document))
        for line in islice(of_document, _MOST):
            match orjson.loads(line.partition("\t")[2]):
                case [str(key), version, etag, stored, latest, marker]:
                    facts.objects.append(Listed(key, version, 0, etag, moment(stored), latest, marker))
                case [generation, build, chunks, vectors]:
                    facts.builds.append((BuildId(generation, build), Count(chunks, vectors)))
        yield facts


def _looked_at_again(services: Services, tenant: TenantId, facts: _Facts) -> list[Finding]:
    """The same document, as it is now. One that moves under the look is at work: somebody sees to it."""
    for _ in range(_LOOKS):
        before = services.documents.read(tenant, facts.id)
        now = _facts_now(services, tenant, facts, before)
        after = services.documents.read(tenant, facts.id)
        if after == before:
            records = {} if after is None else {after.id: after}
            if after is not None and after.container is not None:
                records |= services.documents.read_many(tenant, [after.container])
            return _case(services, tenant, now, records).findings()
    return []


def _facts_now(services: Services, tenant: TenantId, facts: _Facts, record: Document | None) -> _Facts:
    keys = {each.key for each in (*facts.files("files"), *facts.files("drop"))}
    keys |= {original.key for original in _originals(record)}
    exact = chain.from_iterable(_versions(services, tenant, key) for key in sorted(keys))
    rooms = chain.from_iterable(services.objects.listed(tenant, f"{room}/{tenant}/{facts.id}/") for room in FOLDERS)
    builds = ((build_id, held) for _, build_id, held in services.index.builds(tenant, facts.id))
    return _Facts(facts.id, list(islice(chain(exact, rooms), _MOST)), list(islice(builds, _MOST)))


def _versions(services: Services, tenant: TenantId, key: str) -> Iterator[Listed]:
    """Of exactly this key, which is listed before the longer ones that begin with it."""
    return takewhile(lambda each: each.key == key, services.objects.listed(tenant, key))


def _is_known(stored: Listed, original: Original) -> bool:
    return stored.version == original.version or stored.etag == original.etag


def _originals(record: Document | None) -> list[Original]:
    if record is None or record.status is Status.DELETED:
        return []
    return list(dict.fromkeys([record.original, *([record.active.original] if record.active else [])]))


# What is wrong


def _case(services: Services, tenant: TenantId, facts: _Facts, records: Mapping[DocumentId, Document]) -> _Case:
    record = records.get(facts.id)
    container = record.container if record else None
    holding = records.get(container) if container else None
    orphaned = container is not None and (holding is None or holding.status is Status.DELETED)
    return _Case(services, tenant, facts, record, orphaned=orphaned)


@dataclass(frozen=True, slots=True)
class _Case:
    """One document: its record, and what bucket and index have of it."""

    services: Services
    tenant: TenantId
    facts: _Facts
    record: Document | None
    orphaned: bool
    """It came in an archive that is not there any more."""

    def findings(self) -> list[Finding]:
        return list(self._findings())

    def _findings(self) -> Iterator[Finding]:
        if self.record is None or self.record.status is Status.DELETED:
            yield from self._of_nobody()
            return
        if self._is_overdue(self.record):
            yield from self._overdue(self.record)
        if self.record.status is not Status.DELETING:
            if self.orphaned:
                yield self._archive_gone(self.record)
            yield from self._originals(self.record)
            yield from self._folder(self.record)
            yield from self._chunks(self.record)
            yield from self._counts(self.record)
            yield from self._files(self.record)

    @property
    def _now(self) -> datetime:
        return self.services.clock()

    def _settled(self, each: Listed) -> bool:
        return each.stored + _SETTLING <= self._now

    def _finding(self, kind: Kind, what: str, remedy: str | None, mend: Callable[[], object]) -> Finding:
        return Finding(kind, self.facts.id, what, remedy, mend)

    # Of a document that is not there, or no more

    def _of_nobody(self) -> Iterator[Finding]:
        for each in (*self.facts.files("files"), *self.facts.files("drop")):
            if not each.latest or not self._settled(each) or each.key.endswith("/"):
                continue
            if each.key.startswith("drop/") and not each.marker and not self._is_older(each):
                yield self._arrival(each)
            else:
                yield from self._orphan(each)
        yield from self._left(lambda *_: True)
        if self.facts.builds:
            chunks = sum(held.chunks for _, held in self.facts.builds)
            newest = max(build_id for build_id, _ in self.facts.builds)
            yield self._finding(
                Kind.CHUNKS_LEFT,
                f"{chunks} chunks of a document that is not there",
                "clear them from the index",
                lambda: self._clear_of_nobody(BuildId(newest.generation, newest.build + 1)),
            )

    def _clear_of_nobody(self, end: BuildId) -> None:
        self.services.index.clear(self.tenant, self.facts.id, older_than=end)

    def _is_older(self, each: Listed) -> bool:
        """Whether it lay there when its document was deleted."""
        if self.record is None or self.record.expires_at is None:
            return False
        return each.stored <= self.record.expires_at - self.services.limits.keep_tombstone

    def _orphan(self, latest: Listed) -> Iterator[Finding]:
        """What is newer than the version that was seen stays: somebody may be adding it just now."""
        versions = (each for each in self.facts.objects if each.key == latest.key and not each.marker)
        newest = next(versions, None)
        if newest is None:
            return  # a marker alone is what a removal from the folder leaves
        what = "a file that was removed" if latest.marker else "a file"
        yield self._finding(
            Kind.OBJECT_WITHOUT_DOCUMENT,
            f"{latest.key} is {what}, of a document that is not there",
            "remove it from the bucket",
            lambda: self.services.objects.remove(self.tenant, newest.key, newest.version),
        )

    def _arrival(self, each: Listed) -> Finding:
        event = ObjectEvent(each.key, each.version, each.size, each.etag, None, removed=False)
        return self._finding(
            Kind.ARRIVAL_UNHEARD,
            f"{each.key} lies in the drop folder, and nobody has heard of these bytes",
            "receive it",
            lambda: receive_object(self.services, event),
        )

    # Of one that is there

    def _is_overdue(self, record: Document) -> bool:
        if record.sweep_at is None:
            return record.status not in FINAL
        return record.sweep_at + _OVERDUE <= self._now

    def _overdue(self, record: Document) -> Iterator[Finding]:
        since = "never" if record.sweep_at is None else f"since {record.sweep_at.isoformat(timespec='seconds')}"
        yield self._finding(
            Kind.OVERDUE,
            f"it is {record.status}, and the sweep should have looked at it, which it has not ({since} due)",
            "see to it: send its message again, or clear what is left",
            self._see_to,
        )

    def _see_to(self) -> None:
        def due(found: Document | None) -> Document | None:
            overdue = found is not None and found.sweep_at is None and found.status not in FINAL
            return replace(found, sweep_at=self._now) if found is not None and overdue else found

        update_record(self.services, self.tenant, self.facts.id, due)
        see_to(self.services, self.tenant, self.facts.id)

    def _archive_gone(self, record: Document) -> Finding:
        """Whoever took it had stalled until the archive was deleted."""
        return self._finding(
            Kind.ARCHIVE_GONE,
            f"it came in {record.container}, an archive that was deleted, and nobody finds it",
            "delete the document",
            lambda: request_removal(self.services, self.tenant, record.id, of=record.original),
        )

    def _originals(self, record: Document) -> Iterator[Finding]:
        for original in _originals(record):
            if original.key.startswith("drop/") or self._is_there(original):
                continue  # of the drop folder: see there
            yield self._finding(
                Kind.ORIGINAL_MISSING,
                f"{original.key} version {original.version} is not in the bucket: it was removed past Penstock. "
                "What was indexed of it is still found; add the file again, or delete the document",
                None,
                lambda: None,
            )

    def _is_there(self, original: Original) -> bool:
        wanted = (original.key, original.version, False)
        if any((each.key, each.version, each.marker) == wanted for each in self.facts.objects):
            return True
        listed = _versions(self.services, self.tenant, original.key)
        return any((each.key, each.version, each.marker) == wanted for each in listed)

    def _folder(self, record: Document) -> Iterator[Finding]:
        key = record.original.key
        if not key.startswith("drop/"):
            return
        latest = next((each for each in self.facts.files("drop") if each.latest and each.key == key), None)
        if latest is None or latest.marker:
            if (latest is None and not self._is_there(record.original)) or (latest and self._settled(latest)):
                yield self._finding(
                    Kind.REMOVAL_UNHEARD,
                    f"{key} is no more in the drop folder, and nobody has heard of its removal",
                    "delete the document",
                    lambda: request_removal(self.services, self.tenant, self.facts.id, of=record.original),
                )
        elif self._settled(latest) and not _is_known(latest, record.original):
            yield self._arrival(latest)

    def _waits(self, record: Document) -> bool:
        """Whether what is left is to be cleared: by the sweep, or once the attempt has ended."""
        return record.needs_cleanup and not self._is_overdue(record)

    def _chunks(self, record: Document) -> Iterator[Finding]:
        shown = record.active.build_id if record.active else None
        newest = BuildId(record.generation, record.build + (not record.in_work))
        stale = [(build_id, held) for build_id, held in self.facts.builds if build_id != shown and build_id < newest]
        if not stale or self._waits(record):
            return
        yield self._finding(
            Kind.CHUNKS_LEFT,
            f"{sum(held.chunks for _, held in stale)} chunks of {', '.join(str(each) for each, _ in stale[:5])}, "
            "which is neither what readers see nor in work",
            "clear them from the index",
            lambda: self._clear(record, shown),
        )

    def _clear(self, record: Document, shown: BuildId | None) -> None:
        if record.in_work:
            self.services.index.clear(self.tenant, record.id, older_than=record.build_id, keep=shown)
        else:
            clear_stale(self.services, record)

    def _counts(self, record: Document) -> Iterator[Finding]:
        if record.active is None:
            return
        said = Count(record.active.receipt.chunks, record.active.receipt.vectors)
        held = next((held for build_id, held in self.facts.builds if build_id == record.active.build_id), Count(0, 0))
        if held == said:
            return
        begins = record.status in PUBLISHED
        yield self._finding(
            Kind.COUNTS_DIFFER,
            f"the index holds {held.chunks} chunks and {held.vectors} vectors of {record.active.build_id}, and its "
            f"receipt says {said.chunks} and {said.vectors}"
            + ("" if begins else f"; it is {record.status}: see to that first"),
            "index it again" if begins else None,
            lambda: request_retry(self.services, self.tenant, record.id, of=PUBLISHED) if begins else None,
        )

    def _files(self, record: Document) -> Iterator[Finding]:
        shown = record.active.build_id if record.active else None

        def left(room: str, build_id: BuildId) -> bool:
            wanted = (build_id == record.build_id and record.in_work) or (room == "receipts" and build_id == shown)
            return build_id <= record.build_id and not wanted

        if not self._waits(record):
            yield from self._left(left)

    def _left(self, left: Callable[[str, BuildId], bool]) -> Iterator[Finding]:
        """Work files and receipts, a finding for each place."""
        places: dict[str, None] = {}
        for room in FOLDERS:
            for each in self.facts.files(room):
                build_id = build_id_of_key(each.key)
                if build_id is not None and left(room, build_id) and self._settled(each):
                    places.setdefault(location_of_key(each.key))
        for place in places:
            yield self._finding(
                Kind.FILES_LEFT,
                f"{place} is of no attempt that goes on, and of nothing that readers see",
                "remove it from the bucket",
                lambda place=place: discard(self.services, self.tenant, place),  # type: ignore[misc]
            )


def _uploads(services: Services, tenant: TenantId) -> Iterator[Finding]:
    """Whatever comes by this door leaves it within moments."""
    for each in services.objects.listed(tenant, f"uploads/{tenant}/"):
        if not each.latest or each.marker or each.stored + _SETTLING > services.clock():
            continue
        event = ObjectEvent(each.key, each.version, each.size, each.etag, None, removed=False)
        yield Finding(
            Kind.ARRIVAL_UNHEARD,
            each.key,
            "this upload has come, and nobody has heard of it",
            "receive it, or remove it if nobody awaits it any more",
            lambda event=event: receive_object(services, event),  # type: ignore[misc]
        )
