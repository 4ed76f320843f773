"""Search: a question to cited hits, each of the one pair of its document that readers see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from penstock.chunk import Entry, IndexQuery
from penstock.document import Document, DocumentId, Pair, TenantId
from penstock.errors import BadRequest
from penstock.fuse import Ranked, fuse
from penstock.ports import Services
from penstock.snippet import Highlighter
from penstock.words import content_words

DEPTH = 100
"""Candidates of each arm: enough for the scores to be steady, and for the most hits that can be asked for."""
MOST_HITS = 100
MOST_CHARACTERS = 10_000
ROUNDS = 3
CHECKED_PER_HIT = 2
"""Candidates checked against the records for each hit asked for: a few stale ones then need no second round, which
checks all there are."""

DocumentPair = tuple[DocumentId, Pair]


@dataclass(frozen=True, slots=True)
class Question:
    """What a reader asks. Empty `sources` and `documents` mean all."""

    text: str
    k: int = 10
    """The most hits wanted, 1 to 100."""
    sources: tuple[str, ...] = ()
    documents: tuple[DocumentId, ...] = ()

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
    snippet: str
    """HTML, matches in <mark>."""
    text: str


@dataclass(frozen=True, slots=True)
class Answer:
    """Hits, best first. All hits of one document are of one generation and build."""

    hits: tuple[Hit, ...]
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
    text = question.text.encode("utf-8", "replace").decode()  # half a surrogate pair has no place in any index
    query = IndexQuery(
        text=" ".join(content_words(text)),
        vector=services.embedder.embed_query(tenant, text),
        depth=DEPTH,
        sources=question.sources,
        documents=question.documents,
    )
    stale: frozenset[DocumentPair] = frozenset()
    rounds = dropped = 0
    while rounds < ROUNDS:
        rounds += 1
        candidates = services.index.candidates(tenant, replace(query, without=stale))
        ranked = fuse(candidates, services.embedder.weight)
        if rounds == 1:
            ranked = ranked[: CHECKED_PER_HIT * question.k]
        found = {_pair_of(each.candidate.entry) for each in ranked}
        records = services.documents.read_many(tenant, sorted({document for document, _ in found | stale}))
        visible = [each for each in ranked if _is_visible(records, _pair_of(each.candidate.entry))]
        dropped += len(ranked) - len(visible)
        missed = any(_is_visible(records, pair) for pair in stale)
        short = len(visible) < len(ranked) and len(visible) < question.k
        if not missed and not short:
            break
        stale = frozenset(pair for pair in found | stale if not _is_visible(records, pair))
    highlighter = Highlighter(text)
    hits = tuple(_hit(each, highlighter) for each in visible[: question.k])
    return Answer(hits, incomplete=missed or short, rounds=rounds, dropped=dropped)


def _pair_of(entry: Entry) -> DocumentPair:
    return entry.document, entry.pair


def _is_visible(records: Mapping[DocumentId, Document], of: DocumentPair) -> bool:
    """An absent record hides its chunks."""
    document, pair = of
    return document in records and records[document].visible == pair


def _hit(ranked: Ranked, highlighter: Highlighter) -> Hit:
    entry = ranked.candidate.entry
    chunk = entry.chunk
    page, snippet = highlighter.best_of(chunk.by_page())
    return Hit(
        document=entry.document,
        generation=entry.pair.generation,
        build=entry.pair.build,
        name=entry.name,
        source=entry.source,
        ordinal=chunk.ordinal,
        page=page if entry.paged else None,
        first_page=chunk.first_page if entry.paged else None,
        last_page=chunk.last_page if entry.paged else None,
        section=chunk.section,
        score=ranked.score,
        snippet=snippet,
        text=chunk.text,
    )
