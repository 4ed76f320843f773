"""Embed: give each chunk its vector, paying only for texts that the index does not know, and index it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from penstock.domain.chunk import Chunk, Entry, TextHash, Vector
from penstock.domain.errors import Interrupted, Transient
from penstock.pipeline.publish import publish_build
from penstock.records.claim import Checkpointed, Claim
from penstock.records.shard_lease import ShardLease
from penstock.records.work_files import load_shard
from penstock.services import Services


def embed(services: Services, claim: ShardLease) -> None:
    """Run the embed stage for one shard. The worker that finishes the last shard of a build publishes it.

    Raises:
        Fenced: the shard's lease, or its build, was lost.
        Checkpointed, Transient, Permanent: as for `embed_chunks`.
    """
    chunks, paged = load_shard(services, claim.document, claim.shard)
    paid = Paid()
    try:
        embed_chunks(services, claim, chunks, paid, paged=paged)
    except (Transient, Checkpointed, Interrupted):
        claim.add_paid(services, paid.texts)
        raise
    build = claim.finish(services, chunks=len(chunks), embedded=paid.texts)
    if build.complete:
        publish_build(services, claim.document, build)


@dataclass(slots=True)
class Paid:
    """The number of texts that were sent to the embedder. It counts also where the try fails afterwards."""

    texts: int = 0


def embed_chunks(services: Services, claim: Claim, chunks: Sequence[Chunk], paid: Paid, *, paged: bool) -> None:
    """Index these chunks under the claim's build.

    Each batch is indexed as it comes. So a try that fails leaves what it paid for to the next try, which asks the index
    first. Between batches the claim is checked.

    Raises:
        Fenced: the work is no longer wanted, or no longer this claim's.
        Checkpointed: the time is over, and at least one batch was done.
        Transient: the provider or the index did not answer.
        Permanent: the provider refuses our calls. A single text that it refuses is indexed without a vector instead.
    """
    tenant = claim.tenant
    hashed = [(services.embedder.space.text_hash(chunk.text), chunk) for chunk in chunks]
    texts = {text_hash: chunk.text for text_hash, chunk in hashed}
    if claim.held_before or claim.document.needs_cleanup:
        services.index.refresh(tenant)  # so that the index knows what earlier runs paid for
    known = services.index.known_vectors(tenant, list(texts))
    _put(services, claim, hashed, known, paged=paged)
    unknown = [text_hash for text_hash in texts if text_hash not in known]
    while unknown:
        if paid.texts:
            _check_between_batches(services, claim)
        vectors = services.embedder.embed(tenant, [texts[text_hash] for text_hash in unknown])
        paid.texts += len(vectors)
        _put(services, claim, hashed, dict(zip(unknown, vectors, strict=False)), paged=paged)
        unknown = unknown[len(vectors) :]


def _check_between_batches(services: Services, claim: Claim) -> None:
    claim.check(services)
    if services.stop_request() is not None:
        claim.release(services)
        raise Checkpointed


def _put(
    services: Services,
    claim: Claim,
    hashed: Sequence[tuple[TextHash, Chunk]],
    vectors: Mapping[TextHash, Vector | None],
    *,
    paged: bool,
) -> None:
    """Index the chunks whose texts are among `vectors`: None stands for a text that the provider refused."""
    record = claim.document
    entries = [
        Entry(
            document=record.id,
            build_id=claim.build_id,
            chunk=chunk,
            hash=text_hash,
            vector=vectors[text_hash],
            name=record.original.name,
            source=record.source,
            paged=paged,
            metadata=record.metadata,
        )
        for text_hash, chunk in hashed
        if text_hash in vectors
    ]
    if entries:
        services.index.put(claim.tenant, entries)
