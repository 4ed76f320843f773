"""Search: from a question to cited hits, each of the one build of its document that readers see."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from math import ceil

from penstock.domain.chunk import IndexQuery, Vector
from penstock.domain.document import Document
from penstock.domain.errors import BadRequest
from penstock.domain.ids import BuildId, DocumentId, TenantId
from penstock.search.fuse import Parts, Ranked, fuse
from penstock.search.snippet import Highlighter
from penstock.search.words import question_terms, required_phrases
from penstock.services import Services

DEPTH = 100
"""The number of candidates of each arm. It is large enough for steady scores, and for the maximum number of hits."""
MOST_HITS = 100
"""The maximum number of hits in one answer."""
MOST_CANDIDATES = 2 * DEPTH
"""The maximum number of candidates that both arms find together."""
MOST_CHARACTERS = 10_000
"""The maximum length of a question."""
ROUNDS = 3
"""The maximum number of times that one question searches the index."""
CHECKED_PER_HIT = 2
"""The number of candidates that the first round checks against the records for each wanted hit. So a few stale
candidates cause no second round, which checks all of them."""

DocumentBuild = tuple[DocumentId, BuildId]


@dataclass(frozen=True, slots=True)
class Question:
    """The words or the question of a reader, with its filters. A hit must contain what stands in quotes exactly. Empty
    `sources` and `documents` mean all."""

    text: str
    k: int = 10
    """The maximum number of hits, 1 to 100."""
    sources: tuple[str, ...] = ()
    documents: tuple[DocumentId, ...] = ()
    metadata: tuple[tuple[str, str], ...] = ()
    """Hits are of documents that were sent with all of these names and values."""
    since: datetime | None = None
    """Hits are of documents that arrived at this time or later."""
    before: datetime | None = None
    """Hits are of documents that arrived before this time."""
    offset: int = 0
    """The number of the best hits that are skipped, because the reader has seen them already."""
    one_per_document: bool = False
    """Whether only the best hit of each document is returned, with the number of its other hits."""

    @property
    def end(self) -> int:
        """The number of the best hits that this page ends with."""
        return self.offset + self.k

    def __post_init__(self) -> None:
        """
        Raises:
            BadRequest: the question is empty, too long, or has a parameter that is out of range.
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
    """A chunk that answers the question, and its place in the document."""

    document: DocumentId
    generation: int
    build: int
    name: str
    source: str
    ordinal: int
    page: int | None
    """The page that the snippet is from. Like the next two, it is None where the format has no pages."""
    first_page: int | None
    last_page: int | None
    section: tuple[str, ...]
    score: float
    """The relevance, at most 1. Scores can be compared only within one answer."""
    parts: Parts
    more: int
    """The number of further hits of the same document, where only its best hit was asked for."""
    snippet: str
    """The best part of the text as HTML, with matches in <mark>."""
    text: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The hits, best first. All hits of one document are of one generation and build."""

    hits: tuple[Hit, ...]
    next: int | None = None
    """The offset of the next page. It is None after the last page: pages end with the candidates that the two arms
    found."""
    incomplete: bool = False
    """Whether documents changed so fast that some hits were not found in time. Asking again may find them."""
    rounds: int = 1
    """The number of times that the index was searched."""
    dropped: int = 0
    """The number of candidates that were found but are of builds that readers do not see."""


def search(services: Services, tenant: TenantId, question: Question) -> Answer:
    """The best hits for a question, each of the build of its document that readers see (I8).

    Raises:
        Transient: the index, the records or the embedder did not answer.
    """
    text = _without_surrogates(question.text)
    query = index_query(question, services.embedder.embed_query(tenant, text))
    last, rounds, dropped = _search_in_rounds(services, tenant, query, question)
    ranked = _best_of_each(last.visible) if question.one_per_document else [(each, 0) for each in last.visible]
    highlighter = Highlighter(text)
    page = ranked[question.offset : question.end]
    return Answer(
        tuple(_hit(each, highlighter, more) for each, more in page),
        next=question.end if len(ranked) > question.end or last.unchecked else None,
        incomplete=not last.is_complete(question.end),
        rounds=rounds,
        dropped=dropped,
    )


def _search_in_rounds(
    services: Services, tenant: TenantId, query: IndexQuery, question: Question
) -> tuple[_Round, int, int]:
    """Search, and search again without the stale builds that were found, until a round is complete or all rounds are
    used up. Returns the last round, the number of rounds, and the number of candidates that they dropped."""
    stale: frozenset[DocumentBuild] = frozenset()
    dropped = 0
    checked = None if question.one_per_document else CHECKED_PER_HIT * question.end
    for number in range(1, ROUNDS + 1):
        current = _search_once(services, tenant, query, excluded=stale, checked=checked if number == 1 else None)
        dropped += current.dropped
        if current.is_complete(question.end):
            break
        stale = current.stale
    return current, number, dropped


def _search_once(
    services: Services, tenant: TenantId, query: IndexQuery, *, excluded: frozenset[DocumentBuild], checked: int | None
) -> _Round:
    """Ask the index for the candidates that are not of the excluded builds, and judge the best of them, and the
    excluded builds, by one consistent read of the records. `checked` is the number of candidates to judge; None means
    all."""
    candidates = services.index.candidates(tenant, replace(query, excluded=excluded))
    ranked = fuse(candidates, services.embedder.weight)
    judged = ranked[:checked]
    builds = {_build_of(each) for each in judged} | excluded
    records = _searchable_records(services, tenant, {document for document, _ in builds})
    stale = frozenset(build for build in builds if not _is_visible(records, build))
    return _Round(
        visible=[each for each in judged if _build_of(each) not in stale],
        dropped=sum(_build_of(each) in stale for each in judged),
        unchecked=len(ranked) - len(judged),
        stale=stale,
        wrongly_excluded=not excluded <= stale,
    )


@dataclass(frozen=True, slots=True)
class _Round:
    """The result of one search of the index, judged by the records."""

    visible: list[Ranked]
    """The candidates that readers see, best first."""
    dropped: int
    """The number of candidates that were found and that readers do not see."""
    unchecked: int
    """The number of candidates that were found and not judged."""
    stale: frozenset[DocumentBuild]
    """The builds that readers do not see, of the candidates and of those that the search excluded."""
    wrongly_excluded: bool
    """Whether readers see a build that the search excluded: it became the active one since an earlier round, and must
    be found after all."""

    def is_complete(self, wanted: int) -> bool:
        """Whether another round would find nothing more, for a reader who wants the first `wanted` hits."""
        too_few = self.dropped > 0 and len(self.visible) < wanted
        return not self.wrongly_excluded and not too_few


def index_query(question: Question, vector: Vector | None) -> IndexQuery:
    """The query to the index for this question."""
    text = _without_surrogates(question.text)
    return IndexQuery(
        terms=question_terms(text),
        vector=vector,
        depth=DEPTH,
        sources=question.sources,
        documents=question.documents,
        metadata=question.metadata,
        since=_generation(question.since),
        before=_generation(question.before),
        phrases=required_phrases(text),
    )


def _searchable_records(
    services: Services, tenant: TenantId, documents: set[DocumentId]
) -> Mapping[DocumentId, Document]:
    """The records of these documents, without those that came in an archive that is deleted or being deleted."""
    records = services.documents.read_many(tenant, sorted(documents))
    archives = {record.container for record in records.values() if record.container is not None}
    if not archives:
        return records
    containers = services.documents.read_many(tenant, sorted(archives))
    kept = {None, *(document for document, record in containers.items() if not record.hidden)}
    return {document: record for document, record in records.items() if record.container in kept}


def _without_surrogates(text: str) -> str:
    """The text with '?' for each half of a surrogate pair, which no index can hold."""
    return text.encode("utf-8", "replace").decode()


def _generation(moment: datetime | None) -> int | None:
    """The smallest number of a generation that arrived at this time or later."""
    return None if moment is None else ceil(moment.timestamp() * 1000)


def _best_of_each(visible: Sequence[Ranked]) -> list[tuple[Ranked, int]]:
    """The best candidate of each document, with the number of its other candidates."""
    best: dict[DocumentId, Ranked] = {}
    count: Counter[DocumentId] = Counter()
    for each in visible:
        document = each.candidate.entry.document
        best.setdefault(document, each)
        count[document] += 1
    return [(each, count[document] - 1) for document, each in best.items()]


def _build_of(ranked: Ranked) -> DocumentBuild:
    entry = ranked.candidate.entry
    return entry.document, entry.build_id


def _is_visible(records: Mapping[DocumentId, Document], build: DocumentBuild) -> bool:
    """Whether readers see this build of a document. A document without a record is hidden."""
    document, build_id = build
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
