"""The extract stage: read the file once, streaming its pages, and send each shard of chunks on as soon as it is cut."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryDirectory

from penstock.documents.archive_members import MemberReceiver
from penstock.documents.remove import remove_missing
from penstock.domain.build import Build
from penstock.domain.chunk import Chunk, Cut
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
)
from penstock.domain.lease import Lease
from penstock.domain.receipt import Receipt
from penstock.domain.status import Status
from penstock.pipeline.embed import Paid, embed_chunks
from penstock.pipeline.publish import is_index_complete, keep_edition, publish_build, publish_claimed
from penstock.pipeline.split import cuts
from penstock.pipeline.tally import ProgressReporter, Tally
from penstock.ports import Member
from penstock.records.backoff import backoff
from penstock.records.claim import Checkpointed
from penstock.records.compare_and_set import update_record_and_build
from penstock.records.document_lease import DocumentLease
from penstock.records.work_files import embed_message, save_shard
from penstock.services import Services


def extract(services: Services, claim: DocumentLease) -> None:
    """Read and cut a file. Then finish a document of one shard here, or leave its shards to the embed stage.

    Raises:
        Permanent: the file cannot be read; why, and what to do.
        Fenced: the claim was lost. What was written belongs to a build that no reader sees (I3).
        Checkpointed: the time was over. The next run continues.
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


def _read_and_cut(services: Services, claim: DocumentLease, path: Path, sha256: str) -> None:
    original, limits = claim.document.original, services.limits
    before = _build_to_resume(services, claim)
    after = before.resume if before else None
    receiver = MemberReceiver(services, claim)

    def receive(member: Member) -> None:
        tally.receive(member, receiver)

    with services.reader.read(
        path,
        name=original.name,
        declared=original.content_type,
        first_page=after.page if after else 1,
        tenant=claim.tenant,
        on_member=receive,
    ) as reading:
        tally = Tally(reading, ProgressReporter(services, claim), known=before.draft if before else None)
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
            tally.reporter = None  # from the second shard on, the build holds the progress
            written = before.written if before else 0
            total = _send_shards(services, claim, tally, chain(first, following, found), written)
    receipt = tally.receipt()
    receiver.remove_others()
    if several:
        _declare_total(services, claim, total, receipt, sha256)
    else:
        _finish_here(services, claim, [chunk for chunk, _ in first], receipt, sha256)


def _build_to_resume(services: Services, claim: DocumentLease) -> Build | None:
    """The build that this claim continues. None where the extract starts at the first page."""
    if not claim.resumes:
        return None
    build = services.documents.read_build(claim.tenant, claim.document.id, claim.build_id)
    if build is None:
        raise Fenced
    return build


def _finish_here(services: Services, claim: DocumentLease, chunks: list[Chunk], receipt: Receipt, sha256: str) -> None:
    """Embed and publish a document of one shard in this run. If that fails with a transient error, the chunks are saved
    as a shard, and only its embedding is tried again."""
    paid = Paid()
    try:
        embed_chunks(services, claim, chunks, paid, paged=receipt.paged)
        embedded = claim.document.lease.paid + paid.texts
        publish_claimed(services, claim, replace(receipt, chunks=len(chunks), embedded=embedded), sha256=sha256)
    except (Checkpointed, Interrupted):
        claim.add_paid(services, paid.texts)
        raise
    except Transient as error:
        delay = backoff(services.limits, 1, error.retry_after)
        deferred = isinstance(error, NotYet)
        lease = Lease(attempts=int(not deferred), deferrals=int(deferred), not_before=services.clock() + delay)
        save_shard(services, claim.document, 0, chunks, paged=receipt.paged)
        build = _new_build(services, claim.document, receipt.pages, receipt.pages)
        build = replace(build, total=1, draft=receipt, leases={0: lease}, embedded=paid.texts)
        _begin_embedding(services, claim, build, sha256)
        services.queue.send(embed_message(claim.document, 0), claim.document.lane, delay=delay)


def _send_shards(
    services: Services, claim: DocumentLease, tally: Tally, found: Iterator[tuple[Chunk, Cut]], written: int
) -> int:
    """Save each shard as it is cut, and send its embed message. The first shard has the number `written`.

    Returns:
        The number of shards of the build.

    Raises:
        Checkpointed: the time is over, and at least one shard was sent.
        OutOfTime: the time is over, and this kind of file cannot be read from a later page on.
    """
    document = claim.document
    while shard := list(islice(found, services.limits.shard_chunks)):
        chunks = [chunk for chunk, _ in shard]
        save_shard(services, document, written, chunks, paged=tally.reading.paged)
        _count_written(services, claim, written + 1, chunks[-1].last_page, tally.reading.pages)
        services.queue.send(embed_message(document, written), document.lane)
        written += 1
        _stop_if_asked(services, claim, tally, shard[-1][1])
    return written


def _stop_if_asked(services: Services, claim: DocumentLease, tally: Tally, cut: Cut) -> None:
    stop = services.stop_request()
    if stop is None:
        return
    if tally.reading.seeks:
        claim.checkpoint(services, cut, tally.receipt())
        raise Checkpointed
    if stop.limit is not None:
        raise OutOfTime(limit=stop.limit, kind=tally.reading.kind, way_out=stop.way_out)


def _count_written(services: Services, claim: DocumentLease, written: int, read: int, pages: int) -> None:
    """Write the number of shards that are saved. This checks the claim as well.

    Raises:
        Fenced: the work is no longer wanted, or no longer this claim's.
    """

    def decide(record: Document | None, build: Build | None) -> tuple[Document, Build]:
        record = claim.held(record)
        build = build or _new_build(services, record, read, pages)
        return record, replace(build, written=written, pages_read=read)

    update_record_and_build(services, claim.tenant, claim.document.id, claim.build_id, decide)


def _declare_total(services: Services, claim: DocumentLease, total: int, receipt: Receipt, sha256: str) -> None:
    """Write the number of shards. If all of them are embedded before it is known, this write finishes the build."""
    build = replace(_new_build(services, claim.document, receipt.pages, receipt.pages), total=total, draft=receipt)
    document, build = _begin_embedding(services, claim, build, sha256)
    if build.complete:
        publish_build(services, document, build)


def _begin_embedding(services: Services, claim: DocumentLease, final: Build, sha256: str) -> tuple[Document, Build]:
    """Move the record to `embedding`: the file is cut. `final` has what only extract knows of the build; what the embed
    stage has written into the build meanwhile stays."""

    def decide(record: Document | None, build: Build | None) -> tuple[Document, Build]:
        record = claim.held(record)
        moved = replace(
            record,
            status=Status.EMBEDDING,
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
    return Build(
        document.tenant,
        document.id,
        document.build_id,
        written=1,
        pages_read=read,
        pages=pages,
        expires_at=services.clock() + services.limits.keep_build,
    )


def _is_shown(document: Document, sha256: str) -> bool:
    """Whether readers see these bytes already, under this name and source. Each chunk says where it is from, so another
    name or source needs a new build. Members of an archive may have been replaced by a generation that was never
    shown, so an archive is always read."""
    shown, newest = document.active, document.original
    if shown is None or document.has_members:
        return False
    return (shown.original.sha256, shown.original.name, shown.source) == (sha256, newest.name, document.source)


@contextmanager
def _on_disk(services: Services, document: Document) -> Iterator[tuple[Path, str]]:
    """The path of the original in a private folder, and its sha256, which is computed while it is written."""
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
