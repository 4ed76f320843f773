"""The extract stage: read the file once, streaming its pages, and send each shard of chunks on as soon as it is cut."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import InitVar, dataclass, field, replace
from datetime import timedelta
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryDirectory

from penstock.documents.archive_members import MemberReceiver
from penstock.documents.remove import remove_missing
from penstock.domain.build import Build
from penstock.domain.chunk import Chunk, Cut, Page
from penstock.domain.document import Document
from penstock.domain.errors import (
    EmptyFile,
    Fenced,
    Interrupted,
    NotYet,
    OriginalMissing,
    OutOfTime,
    TooLarge,
    Transient,
    Unreadable,
)
from penstock.domain.lease import Lease
from penstock.domain.page_ranges import numbers, ranges
from penstock.domain.receipt import Receipt
from penstock.domain.status import Status
from penstock.pipeline.embed import Paid, embed_chunks
from penstock.pipeline.publish import is_index_complete, keep_edition, publish_build, publish_claimed
from penstock.pipeline.split import cuts
from penstock.ports import Member, Reading
from penstock.reading.text.characters import label
from penstock.records.backoff import backoff
from penstock.records.compare_and_set import update_record_and_build
from penstock.records.leases import Checkpointed, Claim, add_paid, checkpoint, held, report_progress
from penstock.records.work_files import embed_message, save_shard
from penstock.services import Services

log = logging.getLogger(__name__)

_REPORT_EVERY = timedelta(seconds=0.4)
_WARNINGS = 10


def extract(services: Services, claim: Claim) -> None:
    """Read, cut, and either finish a document of one shard here or leave its shards to embed.

    Raises:
        Permanent: the file cannot be read; why, and what to do.
        Fenced: the claim was lost; what was written belongs to a pair that no reader sees (I3).
        HandedOn: the time was over; the next to claim it goes on.
        Transient: a service did not answer.
    """
    if claim.document.original.size > services.limits.file_bytes:
        raise TooLarge(limit=services.limits.file_bytes)
    try:
        with _on_disk(services, claim.document) as (path, sha256):
            if _is_shown(claim.document, sha256) and is_index_complete(services, claim.document):
                keep_edition(services, claim, sha256=sha256)
            else:
                _read_and_cut(services, claim, path, sha256)
    except OriginalMissing:
        if not claim.document.original.key.startswith("drop/"):
            raise
        remove_missing(services, claim)


def _read_and_cut(services: Services, claim: Claim, path: Path, sha256: str) -> None:
    original, limits = claim.document.original, services.limits
    before = _handed_on(services, claim)
    after = before.resume if before else None
    taking = MemberReceiver(services, claim)

    def take(member: Member) -> None:
        tally.take(member, taking)

    with services.reader.read(
        path,
        name=original.name,
        declared=original.content_type,
        first_page=after.page if after else 1,
        tenant=claim.tenant,
        take=take,
    ) as reading:
        tally = _Tally(reading, _ProgressReporter(services, claim), known=before.draft if before else None)
        found = cuts(
            iter(tally),
            largest=limits.chunk_chars,
            overlap=limits.overlap_chars,
            fits=services.embedder.fits,
            after=after,
        )
        first, following = list(islice(found, limits.shard_chunks)), list(islice(found, 1))
        several = bool(before or following)
        if several:
            tally.reporter = None  # from the second shard on, the build tells
            written = before.written if before else 0
            total = _send_shards(services, claim, tally, chain(first, following, found), written)
    receipt = tally.receipt()
    taking.remove_others()
    if several:
        _declare(services, claim, total, receipt, sha256)
    else:
        _finish_here(services, claim, [chunk for chunk, _ in first], receipt, sha256)


def _handed_on(services: Services, claim: Claim) -> Build | None:
    """The build that this claim goes on with; None where it begins."""
    if not claim.resumes:
        return None
    build = services.documents.read_build(claim.tenant, claim.document.id, claim.build_id)
    if build is None:
        raise Fenced
    return build


def _finish_here(services: Services, claim: Claim, chunks: list[Chunk], receipt: Receipt, sha256: str) -> None:
    """A document of one shard goes on in this invocation. Where that fails for now, only its embedding is left."""
    paid = Paid()
    try:
        embed_chunks(services, claim, chunks, paid, paged=receipt.paged)
        embedded = claim.document.lease.paid + paid.texts
        publish_claimed(services, claim, replace(receipt, chunks=len(chunks), embedded=embedded), sha256=sha256)
    except (Checkpointed, Interrupted):
        add_paid(services, claim, paid.texts)
        raise
    except Transient as error:
        delay = backoff(services.limits, 1, error.retry_after)
        waits = isinstance(error, NotYet)
        rested = Lease(attempts=int(not waits), deferrals=int(waits), not_before=services.clock() + delay)
        save_shard(services, claim.document, 0, chunks, paged=receipt.paged)
        build = _new_build(services, claim.document, receipt.pages, receipt.pages)
        build = replace(build, total=1, draft=receipt, leases={0: rested}, embedded=paid.texts)
        _begin_embedding(services, claim, build, sha256)
        services.queue.send(embed_message(claim.document, 0), claim.document.lane, delay=delay)


def _send_shards(
    services: Services, claim: Claim, tally: _Tally, found: Iterator[tuple[Chunk, Cut]], written: int
) -> int:
    """Save and send each shard as it is cut, from number `written` on; how many there are then.

    Raises:
        HandedOn: the time is over, and at least one shard was sent.
        OutOfTime: the time is over, and the file cannot be read on from here.
    """
    document = claim.document
    while shard := list(islice(found, services.limits.shard_chunks)):
        chunks = [chunk for chunk, _ in shard]
        save_shard(services, document, written, chunks, paged=tally.reading.paged)
        _count_written(services, claim, written + 1, chunks[-1].last_page, tally.reading.pages)
        services.queue.send(embed_message(document, written), document.lane)
        written += 1
        stop_request = services.stop_request()
        if stop_request is not None and tally.reading.seeks:
            checkpoint(services, claim, shard[-1][1], tally.receipt())
            raise Checkpointed
        if stop_request is not None and stop_request.limit is not None:
            raise OutOfTime(limit=stop_request.limit, kind=tally.reading.kind, way_out=stop_request.way_out)
    return written


def _count_written(services: Services, claim: Claim, written: int, read: int, pages: int) -> None:
    """So many shards are saved. A checkpoint as well.

    Raises:
        Fenced: the work is no longer wanted, or no longer this claim's.
    """

    def decide(record: Document | None, build: Build | None) -> tuple[Document, Build]:
        record = held(record, claim)
        build = build or _new_build(services, record, read, pages)
        return record, replace(build, written=written, pages_read=read)

    update_record_and_build(services, claim.tenant, claim.document.id, claim.build_id, decide)


def _declare(services: Services, claim: Claim, total: int, receipt: Receipt, sha256: str) -> None:
    """The total is a finishing write too: its shards may all be done before it is known."""
    build = replace(_new_build(services, claim.document, receipt.pages, receipt.pages), total=total, draft=receipt)
    document, build = _begin_embedding(services, claim, build, sha256)
    if build.complete:
        publish_build(services, document, build)


def _begin_embedding(services: Services, claim: Claim, final: Build, sha256: str) -> tuple[Document, Build]:
    """All is cut: `final` names what extract alone knows of the build, whatever has become of its shards meanwhile."""

    def decide(record: Document | None, build: Build | None) -> tuple[Document, Build]:
        record = held(record, claim)
        moved = record.moved(
            Status.EMBEDDING,
            original=replace(record.original, sha256=sha256),
            lease=record.lease.released(claim.epoch),
        )
        if build is None:
            return moved, final
        return moved, replace(
            build, total=final.total, draft=final.draft, pages=final.pages, pages_read=final.pages_read
        )

    return update_record_and_build(services, claim.tenant, claim.document.id, claim.build_id, decide)


def _new_build(services: Services, document: Document, read: int, pages: int) -> Build:
    ends = services.clock() + services.limits.keep_build
    return Build(
        document.tenant, document.id, document.build_id, written=1, pages_read=read, pages=pages, expires_at=ends
    )


def _is_shown(document: Document, sha256: str) -> bool:
    """Under another name or source the same bytes are cut anew, as each chunk says where it is from. What came in an
    archive may have been replaced by a generation that was never shown."""
    shown, newest = document.active, document.original
    return (
        shown is not None
        and not document.has_members
        and (shown.original.sha256, shown.original.name, shown.source)
        == (
            sha256,
            newest.name,
            document.source,
        )
    )


@contextmanager
def _on_disk(services: Services, document: Document) -> Iterator[tuple[Path, str]]:
    """The original in a private folder, and its sha256, hashed on the way."""
    with TemporaryDirectory(prefix="penstock-") as folder:
        path, digest = Path(folder) / "original", hashlib.sha256()
        original = document.original
        with services.objects.get(document.tenant, original.key, original.version) as blocks, path.open("wb") as file:
            for block in blocks:
                digest.update(block)
                file.write(block)
        if path.stat().st_size == 0:
            raise EmptyFile
        yield path, digest.hexdigest()


class _ProgressReporter:
    """Tells how far the reading is, seldom enough that a file which is read at once costs no write."""

    def __init__(self, services: Services, claim: Claim) -> None:
        self._services, self._claim = services, claim
        self._told = services.clock()

    def report_progress(self, pages_read: int, pages: int) -> None:
        now = self._services.clock()
        if now - self._told >= _REPORT_EVERY:
            self._told = now
            try:
                report_progress(self._services, self._claim, pages_read, pages)
            except Transient as error:
                log.warning("progress not told: %s", error)


@dataclass(slots=True)
class _Tally:
    """Counts the pages on their way from the reader to the splitter."""

    reading: Reading
    reporter: _ProgressReporter | None
    known: InitVar[Receipt | None] = None
    """What was counted before the reading was handed on."""
    pages: int = 0
    blank: list[int] = field(default_factory=list)
    damaged: list[int] = field(default_factory=list)
    warnings: tuple[str, ...] = ()
    problem: str = ""
    members: int = 0

    def __post_init__(self, known: Receipt | None) -> None:
        if known is not None:
            self.pages, self.warnings = known.pages, known.warnings
            self.blank, self.damaged = numbers(known.pages_without_text), numbers(known.pages_damaged)

    def __iter__(self) -> Iterator[Page]:
        for page in self.reading:
            if page.number > self.pages:  # else it was counted before the reading was handed on
                self._count(page)
            yield page
            if self.reporter is not None:
                self.reporter.report_progress(self.pages, self.reading.pages)

    def take(self, member: Member, taking: MemberReceiver) -> None:
        """
        Raises:
            Fenced, HandedOn, OutOfTime, Transient: as for `MemberReceiver.receive`.
        """
        if self.reporter is not None:
            self.reporter.report_progress(self.pages, self.reading.pages)
        self.pages += 1
        try:
            taking.receive(member)
        except TooLarge as error:
            said = label("/".join(member.path))
            self._lost(Page(member.number, "", problem=f"{said}: {error}"))
            self.warnings = (*self.warnings[:_WARNINGS], f"{said}: {error}")
        else:
            self.members += 1

    def _lost(self, page: Page) -> None:
        self.damaged.append(page.number)
        self.problem = self.problem or page.problem or ""

    def _count(self, page: Page) -> None:
        self.pages += 1
        if page.problem is not None:
            self._lost(page)
        elif not page.text.strip():
            self.blank.append(page.number)

    def receipt(self) -> Receipt:
        """
        Raises:
            Unreadable: there are pages, and none could be read.
        """
        if self.pages and len(self.damaged) == self.pages:
            raise Unreadable(kind=self.reading.kind, why=self.problem)
        return Receipt(
            kind=self.reading.kind,
            engine=self.reading.engine,
            paged=self.reading.paged,
            pages=self.pages,
            pages_with_text=self.pages - len(self.blank) - len(self.damaged),
            pages_without_text=ranges(self.blank),
            pages_damaged=ranges(self.damaged),
            members=self.members,
            warnings=self._warned(),
        )

    def _warned(self) -> tuple[str, ...]:
        warned = tuple(dict.fromkeys((*self.warnings, *self.reading.warnings)))
        if self.members and len(warned) > _WARNINGS:
            lost = len(self.blank) + len(self.damaged)
            return (*warned[: _WARNINGS - 1], f"In all, {lost} of its {self.pages} files were not taken.")
        return warned[:_WARNINGS]
