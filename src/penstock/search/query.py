"""Search: a question to cited hits, each of the one pair of its document that readers see."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from math import ceil

from penstock.domain.chunk import Entry, IndexQuery, Vector
from penstock.domain.document import BuildId, Document
from penstock.domain.errors import BadRequest
from penstock.domain.ids import DocumentId, TenantId
from penstock.search.fuse import Parts, Ranked, fuse
from penstock.search.snippet import Highlighter
from penstock.search.words import asked_terms, required_phrases
from penstock.services import Services

DEPTH = 100
"""Candidates of each arm: enough for the scores to be steady, and for the most hits that can be asked for."""
MOST_HITS = 100
MOST_CANDIDATES = 2 * DEPTH
MOST_CHARACTERS = 10_000
ROUNDS = 3
CHECKED_PER_HIT = 2
"""Candidates checked against the records for each hit asked for: a few stale ones then need no second round, which
checks all there are."""

DocumentBuild = tuple[DocumentId, BuildId]


@dataclass(frozen=True, slots=True)
class Question:
    """What a reader asks: words, or a question. What stands in quotes must be there exactly. Empty `sources` and
    `documents` mean all."""

    text: str
    k: int = 10
    """The most hits wanted, 1 to 100."""
    sources: tuple[str, ...] = ()
    documents: tuple[DocumentId, ...] = ()
    metadata: tuple[tuple[str, str], ...] = ()
    """Only documents that were sent with all of these."""
    since: datetime | None = None
    """Only what arrived then or later."""
    before: datetime | None = None
    """Only what arrived before then."""
    offset: int = 0
    """How many of the best hits were seen already."""
    one_per_document: bool = False
    """Of each document its best hit alone, which says how many more there are."""

    def __post_init__(self) -> None:
        """
        Raises:
            BadRequest: there is nothing to look for, or too much.
        """
        if not self.text.strip():
            raise BadRequest(why="The question is empty. Give at least one word to look for.")
        if len(self.text) > MOST_CHARACTERS:
            raise BadRequest(why=f"The question is longer than {MOST_CHARACTERS} characters. Ask in fewer words.")
        if not 1 <= self.k <= MOST_HITS:
            raise BadRequest(why=f"k is {self.k}. Ask for 1 to {MOST_HITS} hits.")
        if not 0 <= self.offset <= MOST_CANDIDATES:
            raise BadRequest(why=f"offset is {self.offset}. There are at most {MOST_CANDIDATES} hits to page through.")
        if self.since and self.before and self.since >= self.before:
            raise BadRequest(why="Nothing arrived since a time and before it: let `since` be earlier than `before`.")


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that answers, and where it stands."""

    document: DocumentId
    generation: int
    build: int
    name: str
    source: str
    ordinal: int
    page: int | None
    """On which the snippet stands; None, like the next two, where the format has no pages."""
    first_page: int | None
    last_page: int | None
    section: tuple[str, ...]
    score: float
    """At most 1; comparable within an answer only."""
    parts: Parts
    more: int
    """Further hits of the same document, where only its best was asked for."""
    snippet: str
    """HTML, matches in <mark>."""
    text: str


@dataclass(frozen=True, slots=True)
class Answer:
    """Hits, best first. All hits of one document are of one generation and build."""

    hits: tuple[Hit, ...]
    next: int | None = None
    """The offset of the next page; None where there are no more: pages end with what the two arms found."""
    incomplete: bool = False
    """Documents were changing so fast that fewer hits than there are were found in time. Ask again."""
    rounds: int = 1
    dropped: int = 0
    """Candidates that were found but are not, or no longer, what readers see."""


def search(services: Services, tenant: TenantId, question: Question) -> Answer:
    """The best hits for a question, none of a pair that readers do not see (I8).

    In each round one consistent read of the records judges all of its hits, and all pairs that earlier rounds found
    stale: one of them may have become the visible pair since, and must then be found after all.

    Raises:
        Transient: the index, the records or the embedder did not answer.
    """
    text = _whole(question.text)
    query = index_query(question, services.embedder.embed_query(tenant, text))
    wanted = question.offset + question.k
    stale: frozenset[DocumentBuild] = frozenset()
    rounds = dropped = 0
    while rounds < ROUNDS:
        rounds += 1
        candidates = services.index.candidates(tenant, replace(query, excluded=stale))
        ranked = fuse(candidates, services.embedder.weight)
        if rounds == 1 and not question.one_per_document:
            unchecked = len(ranked) - CHECKED_PER_HIT * wanted
            ranked = ranked[: CHECKED_PER_HIT * wanted]
        else:
            unchecked = 0
        found = {_pair_of(each.candidate.entry) for each in ranked}
        records = _shown(services, tenant, {document for document, _ in found | stale})
        visible = [each for each in ranked if _is_visible(records, _pair_of(each.candidate.entry))]
        dropped += len(ranked) - len(visible)
        missed = any(_is_visible(records, build_id) for build_id in stale)
        short = len(visible) < len(ranked) and len(visible) < wanted
        if not missed and not short:
            break
        stale = frozenset(build_id for build_id in found | stale if not _is_visible(records, build_id))
    highlighter = Highlighter(text)
    shown = _best_of_each(visible) if question.one_per_document else [(each, 0) for each in visible]
    hits = tuple(_hit(each, highlighter, more) for each, more in shown[question.offset : wanted])
    return Answer(
        hits,
        next=wanted if len(shown) > wanted or unchecked > 0 else None,
        incomplete=missed or short,
        rounds=rounds,
        dropped=dropped,
    )


def index_query(question: Question, vector: Vector | None) -> IndexQuery:
    """What the index is asked, in its own words."""
    text = _whole(question.text)
    return IndexQuery(
        terms=asked_terms(text),
        vector=vector,
        depth=DEPTH,
        sources=question.sources,
        documents=question.documents,
        metadata=question.metadata,
        since=_generation(question.since),
        before=_generation(question.before),
        phrases=required_phrases(text),
    )


def _shown(services: Services, tenant: TenantId, documents: set[DocumentId]) -> Mapping[DocumentId, Document]:
    """The records of these, but of what came in an archive that is deleted, or is being deleted."""
    records = services.documents.read_many(tenant, sorted(documents))
    archives = {record.container for record in records.values() if record.container is not None}
    if not archives:
        return records
    holding = services.documents.read_many(tenant, sorted(archives))
    there = {None, *(document for document, record in holding.items() if not record.hidden)}
    return {document: record for document, record in records.items() if record.container in there}


def _whole(text: str) -> str:
    """Half a surrogate pair has no place in any index."""
    return text.encode("utf-8", "replace").decode()


def _generation(moment: datetime | None) -> int | None:
    """The first that arrived then, or later."""
    return None if moment is None else ceil(moment.timestamp() * 1000)


def _best_of_each(visible: Sequence[Ranked]) -> list[tuple[Ranked, int]]:
    """Each document's best hit, and how many more it has."""
    best: dict[DocumentId, Ranked] = {}
    count: Counter[DocumentId] = Counter()
    for each in visible:
        document = each.candidate.entry.document
        best.setdefault(document, each)
        count[document] += 1
    return [(each, count[document] - 1) for document, each in best.items()]


def _pair_of(entry: Entry) -> DocumentBuild:
    return entry.document, entry.build_id


def _is_visible(records: Mapping[DocumentId, Document], of: DocumentBuild) -> bool:
    """An absent record hides its chunks."""
    document, build_id = of
    return document in records and records[document].visible == build_id


def _hit(ranked: Ranked, highlighter: Highlighter, more: int) -> Hit:
    entry = ranked.candidate.entry
    chunk = entry.chunk
    page, snippet = highlighter.best_of(chunk.by_page())
    return Hit(
        document=entry.document,
        generation=entry.build_id.generation,
        build=entry.build_id.build,
        name=entry.name,
        source=entry.source,
        ordinal=chunk.ordinal,
        page=page if entry.paged else None,
        first_page=chunk.first_page if entry.paged else None,
        last_page=chunk.last_page if entry.paged else None,
        section=chunk.section,
        score=ranked.score,
        parts=ranked.parts,
        more=more,
        snippet=snippet,
        text=chunk.text,
    )
