"""Embed: give each chunk its vector, paying only for texts that the index does not know, and index it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from penstock.domain.chunk import Chunk, Entry, TextHash, Vector
from penstock.domain.errors import Interrupted, Transient
from penstock.pipeline.publish import publish_build
from penstock.records.leases import Checkpointed, Claim, add_paid, check, finish_shard, release
from penstock.records.work_files import load_shard
from penstock.services import Services


def embed(services: Services, claim: Claim) -> None:
    """The embed stage, of one shard. Whoever finishes the last one publishes.

    Raises:
        Fenced: the shard's lease, or its build, was lost.
        HandedOn, Transient, Permanent: as for `embed_chunks`.
    """
    assert claim.message.shard is not None, "Message.of gives every embed message its shard"
    chunks, paged = load_shard(services, claim.document, claim.message.shard)
    paid = Paid()
    try:
        embed_chunks(services, claim, chunks, paid, paged=paged)
    except (Transient, Checkpointed, Interrupted):
        add_paid(services, claim, paid.texts)
        raise
    build = finish_shard(services, claim, chunks=len(chunks), embedded=paid.texts)
    if build.complete:
        publish_build(services, claim.document, build)


@dataclass(slots=True)
class Paid:
    """How many texts were sent to the embedder, counted also where the try then fails."""

    texts: int = 0


def embed_chunks(services: Services, claim: Claim, chunks: Sequence[Chunk], paid: Paid, *, paged: bool) -> None:
    """Index these chunks under the claim's pair.

    Each batch is indexed as it comes, so that a try that fails leaves what it paid for to the next, which asks the
    index first. Between batches it looks whether the work is still wanted.

    Raises:
        Fenced: it is not.
        HandedOn: the time is over; a batch at least was done.
        Transient: the provider or the index did not answer.
        Permanent: the provider refuses us. A text that it refuses is indexed without a vector instead.
    """
    tenant, record = claim.tenant, claim.document
    hashed = [(services.embedder.space.text_hash(chunk.text), chunk) for chunk in chunks]
    texts = {text_hash: chunk.text for text_hash, chunk in hashed}

    def put(vectors: Mapping[TextHash, Vector | None]) -> None:
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
            services.index.put(tenant, entries)

    if claim.held_before or record.needs_cleanup:
        services.index.refresh(tenant)  # what the runs before this one paid for
    known = services.index.known_vectors(tenant, list(texts))
    put(known)
    unknown = [text_hash for text_hash in texts if text_hash not in known]
    while unknown:
        if paid.texts:
            check(services, claim)
            if services.stop_request() is not None:
                release(services, claim)
                raise Checkpointed
        fresh = services.embedder.embed(tenant, [texts[text_hash] for text_hash in unknown])
        paid.texts += len(fresh)
        put(dict(zip(unknown, fresh, strict=False)))
        unknown = unknown[len(fresh) :]
