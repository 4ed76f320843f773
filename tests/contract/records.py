"""Records and builds of every shape, for the suites and for hypothesis."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from penstock.domain.build import Build
from penstock.domain.chunk import Cut
from penstock.domain.document import Document, Edition, Original
from penstock.domain.ids import BuildId, DocumentId, TenantId
from penstock.domain.lease import Lease
from penstock.domain.receipt import Failure, Receipt, Removal
from penstock.domain.status import Status
from penstock.domain.task import Lane

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)


def original(name: str = "report.pdf") -> Original:
    return Original(
        key=f"files/tenant/{'d' * 32}",
        version="3sL4kqtJlcpXroDTDmJ-rmSpXd3dIbrH",
        name=name,
        size=1_234_567,
        etag="d41d8cd98f00b204e9800998ecf8427e",
        sha256="e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        content_type="application/pdf",
    )


def receipt() -> Receipt:
    return Receipt("pdf", "pypdfium2", True, 10, 10, chunks=23, vectors=23, embedded=23, seconds=1.234)


def document(tenant: TenantId, id_: str = "document", *, accepted: datetime = NOW, **fields: object) -> Document:
    given: dict[str, object] = {"generation": 1, "status": Status.QUEUED, "original": original(), "source": "api"}
    return Document(tenant=tenant, id=DocumentId(id_), accepted=accepted, **(given | fields))  # type: ignore[arg-type]


def published(tenant: TenantId, id_: str, original: Original) -> Document:
    """The record as it is after its publish, with nothing in flight."""
    build_id, done = BuildId(1_763_719_200_000, 1), receipt()
    return document(
        tenant,
        id_,
        generation=build_id.generation,
        build=build_id.build,
        status=Status.INDEXED,
        original=original,
        lease=Lease(epoch=1),
        active=Edition(build_id, original, done, "api"),
        receipt=done,
        revision=3,
    )


moments = st.integers(0, 10**9).map(lambda number: NOW + timedelta(milliseconds=number))
counts = st.integers(0, 10**12)
# Text as it can come from JSON: UTF-8 has no lone surrogates.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ids = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,40}", fullmatch=True).map(DocumentId)
build_ids = st.builds(BuildId, counts, counts)
originals = st.builds(
    Original,
    key=texts,
    version=texts,
    name=texts,
    size=counts,
    etag=texts,
    sha256=st.none() | texts,
    content_type=st.none() | texts,
    sequencer=st.none() | texts,
)
cuts = st.builds(Cut, page=counts, offset=counts, pieces=counts, ordinal=counts)
leases = st.builds(Lease, epoch=counts, until=st.none() | moments, attempts=counts, not_before=st.none() | moments)
receipts = st.builds(
    Receipt,
    kind=texts,
    engine=texts,
    paged=st.booleans(),
    pages=counts,
    pages_with_text=counts,
    pages_without_text=texts,
    pages_damaged=texts,
    chunks=counts,
    vectors=counts,
    embedded=counts,
    refused=texts,
    warnings=st.lists(texts, max_size=3).map(tuple),
    explained=st.none() | texts,
    seconds=st.floats(0, 10**6).map(lambda number: round(number, 6)),
)

failures = st.builds(Failure, texts, texts, counts, st.none() | moments)


@st.composite
def documents(draw: st.DrawFn, tenant: TenantId) -> Document:
    newest = draw(originals)
    done = draw(st.none() | receipts)
    generation, build = draw(counts), draw(counts)
    active = st.builds(
        Edition,
        build_id=st.just(BuildId(generation, build)) | build_ids,
        original=st.just(newest) | originals,
        receipt=receipts if done is None else st.just(done) | receipts,
        source=texts,
    )
    return Document(
        tenant=tenant,
        id=draw(ids),
        generation=generation,
        status=draw(st.sampled_from(Status)),
        accepted=draw(moments),
        original=newest,
        source=draw(texts),
        lane=draw(st.sampled_from(Lane)),
        metadata=draw(st.dictionaries(texts.filter(bool), texts, max_size=3)),
        build=build,
        lease=draw(leases),
        checkpointed=draw(st.booleans()),
        active=draw(st.none() | active),
        receipt=done,
        failure=draw(st.none() | failures),
        history=tuple(draw(st.lists(failures, max_size=3))),
        removal=draw(st.none() | st.builds(Removal, counts, counts, counts)),
        cancel=draw(st.booleans()),
        needs_cleanup=draw(st.booleans()),
        sweep_at=draw(st.none() | moments),
        resend_wait=draw(counts),
        expires_at=draw(st.none() | moments),
    )


def builds(tenant: TenantId) -> st.SearchStrategy[Build]:
    return st.builds(
        Build,
        tenant=st.just(tenant),
        document=ids,
        build_id=build_ids,
        total=st.none() | counts,
        written=counts,
        pages_read=counts,
        pages=counts,
        done=st.frozensets(st.integers(0, 60), max_size=40),
        leases=st.dictionaries(st.integers(0, 1000), leases, max_size=3),
        chunks=counts,
        embedded=counts,
        reopened=counts,
        draft=st.none() | receipts,
        resume=st.none() | cuts,
        revision=st.just(0),
    )
