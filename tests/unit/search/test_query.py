"""The verb search: its query, its answer, and that the answer is true while documents change."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest

from penstock.domain.chunk import Candidates, Chunk, Entry, IndexQuery
from penstock.domain.document import Document, Edition, Original
from penstock.domain.errors import BadRequest, Transient
from penstock.domain.ids import BuildId, DocumentId, TenantId
from penstock.domain.receipt import Receipt
from penstock.domain.status import Status
from penstock.ports import Change
from penstock.search.query import CHECKED_PER_HIT, DEPTH, MOST_CHARACTERS, ROUNDS, Answer, Question, search
from tests.support.fakes.documents import FakeDocumentTable
from tests.support.fakes.embedder import FakeEmbedder
from tests.support.fakes.index import FakeSearchIndex
from tests.support.world import World

ACME, GLOBEX = TenantId("acme"), TenantId("globex")
OLD, NEW = BuildId(1, 1), BuildId(2, 1)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class WatchedTable(FakeDocumentTable):
    """A table that records each batched read, and lets a test change the records just before one."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[list[DocumentId]] = []
        self.before_read: list[Callable[[], object]] = []

    def read_many(self, tenant: TenantId, documents: Sequence[DocumentId]) -> Mapping[DocumentId, Document]:
        if self.before_read:
            self.before_read.pop(0)()
        self.reads.append(list(documents))
        return super().read_many(tenant, documents)


class WatchedIndex(FakeSearchIndex):
    """An index that records its queries."""

    def __init__(self) -> None:
        super().__init__()
        self.queries: list[IndexQuery] = []

    def candidates(self, tenant: TenantId, query: IndexQuery) -> Candidates:
        self.queries.append(query)
        return super().candidates(tenant, query)


@dataclass
class Library:
    """The documents of one tenant, indexed and recorded by hand, so that index and records can differ."""

    index: WatchedIndex = field(default_factory=WatchedIndex)
    documents: WatchedTable = field(default_factory=WatchedTable)
    embedder: FakeEmbedder = field(default_factory=FakeEmbedder)
    tenant: TenantId = ACME

    def put(self, document: str, build_id: BuildId, *texts: str, source: str = "api", paged: bool = True) -> None:
        vectors = [self.embedder.embed_query(self.tenant, text) for text in texts]
        self.index.put(
            self.tenant,
            [
                Entry(
                    document=DocumentId(document),
                    build_id=build_id,
                    chunk=Chunk(n, text, n + 1, n + 2, ("Part", "Chapter")),
                    hash=self.embedder.space.text_hash(text),
                    vector=vector,
                    name=f"{document}.pdf",
                    source=source,
                    paged=paged,
                )
                for n, (text, vector) in enumerate(zip(texts, vectors, strict=True))
            ],
        )
        self.index.refresh(self.tenant)

    def show(self, document: str, build_id: BuildId | None, status: Status = Status.INDEXED) -> None:
        """Make this build the one that readers see."""
        key = (self.tenant, document, None)
        original = Original(key=f"files/{document}", version="v", name=document, size=1, etag="e")
        active = None if build_id is None else Edition(build_id, original, Receipt("text", "text", True, 1, 1), "api")
        self.documents.items[key] = Document(
            self.tenant, DocumentId(document), 9, status, NOW, original, "api", active=active
        )

    def forget(self, document: str) -> None:
        del self.documents.items[(self.tenant, document, None)]

    def add(self, document: str, *texts: str, build_id: BuildId = OLD, source: str = "api", paged: bool = True) -> None:
        self.put(document, build_id, *texts, source=source, paged=paged)
        self.show(document, build_id)

    def search(self, text: str, k: int = 10, **asked: tuple[str, ...]) -> Answer:
        services = replace(World().services, index=self.index, documents=self.documents, embedder=self.embedder)
        return search(services, self.tenant, Question(text, k, **asked))  # type: ignore[arg-type]


@pytest.fixture
def library() -> Library:
    return Library()


def builds(answer: Answer) -> set[tuple[str, BuildId]]:
    return {(hit.document, BuildId(hit.generation, hit.build)) for hit in answer.hits}


# What an answer says


def test_a_hit_says_where_it_stands_and_why_it_was_found(library: Library) -> None:
    library.add("report", "nothing to see", "The gauge <b> stood at 12.", source="web")
    answer = library.search("gauge")
    hit = answer.hits[0]
    assert (hit.document, hit.generation, hit.build, hit.ordinal) == ("report", 1, 1, 1)
    assert (hit.name, hit.source, hit.section) == ("report.pdf", "web", ("Part", "Chapter"))
    assert (hit.first_page, hit.last_page) == (2, 3)
    assert hit.text == "The gauge <b> stood at 12."
    assert hit.snippet == "The <mark>gauge</mark> &lt;b&gt; stood at 12."
    assert (answer.incomplete, answer.rounds, answer.dropped) == (False, 1, 0)


def test_where_a_format_has_no_pages_none_are_cited(library: Library) -> None:
    library.add("notes", "gauge", paged=False)
    (hit,) = library.search("gauge").hits
    assert (hit.first_page, hit.last_page) == (None, None)


def test_the_best_hits_come_first_and_not_more_than_k(library: Library) -> None:
    library.add("a", *(f"water number{n}" for n in range(20)), "water gauge")
    answer = library.search("water gauge", k=3)
    assert len(answer.hits) == 3
    assert answer.hits[0].text == "water gauge"
    scores = [hit.score for hit in answer.hits]
    assert scores == sorted(scores, reverse=True)


def test_filters_are_handed_to_the_index(library: Library) -> None:
    library.add("a", "gauge", source="web")
    library.add("b", "gauge", source="api")
    library.add("c", "gauge", source="api")
    assert builds(library.search("gauge", sources=("api",))) == {("b", OLD), ("c", OLD)}
    assert builds(library.search("gauge", documents=("a", "c"), sources=("api",))) == {("c", OLD)}


def test_stop_words_are_not_looked_for_unless_there_are_no_others(library: Library) -> None:
    library.add("a", "to be or not")
    library.search("what is the gauge of the gauge")
    assert library.index.queries[-1].terms["gaug"] == 2
    assert library.search("to be or not to be").hits
    assert library.index.queries[-1].terms == {"to": 2, "be": 2, "or": 1, "not": 1}


def test_vectors_are_asked_with_the_whole_question(library: Library) -> None:
    library.add("a", "gauge")
    library.search("what is the gauge")
    expected = library.embedder.embed_query(ACME, "what is the gauge")
    assert expected is not None
    assert library.index.queries[-1].vector is not None
    assert (library.index.queries[-1].vector == expected).all()


def test_where_the_embedder_has_no_vector_words_are_enough(library: Library) -> None:
    class Wordless(FakeEmbedder):
        def embed_query(self, tenant: TenantId, text: str) -> None:
            return None

    library.add("a", "gauge")
    library.add("b", "other")
    library.embedder = Wordless()
    assert builds(library.search("gauge")) == {("a", OLD)}


@pytest.mark.parametrize("text", ["?!", "😀", "\ud800 gauge", "\0", '"(*^'], ids=ascii)
def test_a_question_of_odd_characters_is_answered(library: Library, text: str) -> None:
    library.add("a", "gauge")
    assert {hit.document for hit in library.search(text).hits} <= {"a"}


def test_an_empty_library_answers_with_nothing(library: Library) -> None:
    assert library.search("gauge") == Answer(())


@pytest.mark.parametrize(
    ("text", "k", "say"),
    [
        ("", 10, "at least one word"),
        (" \n", 10, "at least one word"),
        ("x" * (MOST_CHARACTERS + 1), 10, "fewer words"),
        ("x", 0, "1 to 100"),
        ("x", 101, "1 to 100"),
    ],
)
def test_a_question_that_cannot_be_answered_says_why(text: str, k: int, say: str) -> None:
    with pytest.raises(BadRequest, match=say):
        Question(text, k)


def test_an_outage_is_reported_and_not_answered_with_less(library: Library) -> None:
    class Down(FakeEmbedder):
        def embed_query(self, tenant: TenantId, text: str) -> None:
            raise Transient(why="the provider is down")

    library.add("a", "gauge")
    library.embedder = Down()
    with pytest.raises(Transient):
        library.search("gauge")


@pytest.mark.invariant("I10")
def test_another_tenants_documents_are_never_found(library: Library) -> None:
    """I10."""
    library.add("a", "gauge")
    library.tenant = GLOBEX
    assert library.search("gauge") == Answer(())


# Truth at read time


@pytest.mark.invariant("I8")
def test_only_the_build_that_readers_see_is_answered(library: Library) -> None:
    """I8: a build that is written but not published, or replaced but not cleared, is in the index and not in
    answers."""
    library.add("a", "gauge old one", "gauge old two")
    library.put("a", NEW, "gauge new")
    assert [hit.text for hit in library.search("gauge").hits] == ["gauge old one", "gauge old two"]
    library.show("a", NEW)
    answer = library.search("gauge")
    assert [hit.text for hit in answer.hits] == ["gauge new"]
    assert answer.dropped == 2
    assert not answer.incomplete


@pytest.mark.invariant("I8")
def test_builds_of_one_generation_are_different(library: Library) -> None:
    """I8."""
    library.add("a", "gauge old", build_id=BuildId(5, 1))
    library.put("a", BuildId(5, 3), "gauge new")
    library.show("a", BuildId(5, 3))
    assert builds(library.search("gauge")) == {("a", BuildId(5, 3))}


@pytest.mark.invariant("I8")
@pytest.mark.parametrize("status", [Status.DELETING, Status.DELETED])
def test_a_deleted_document_is_gone_at_once(library: Library, status: Status) -> None:
    """I8: whatever the index still holds."""
    library.add("a", "gauge")
    library.add("b", "gauge")
    library.show("a", OLD, status)
    assert builds(library.search("gauge")) == {("b", OLD)}


@pytest.mark.invariant("I8")
def test_an_absent_record_hides_its_chunks(library: Library) -> None:
    """I8."""
    library.add("a", "gauge")
    library.forget("a")
    answer = library.search("gauge")
    assert (answer.hits, answer.incomplete) == ((), False)


@pytest.mark.invariant("I8")
def test_a_document_that_was_never_published_is_hidden(library: Library) -> None:
    """I8."""
    library.add("a", "gauge")
    library.show("a", None, Status.EMBEDDING)
    assert library.search("gauge").hits == ()


@pytest.mark.invariant("I8")
def test_a_failed_replacement_leaves_the_earlier_build_in_answers(library: Library) -> None:
    """I8."""
    library.add("a", "gauge")
    library.put("a", NEW, "gauge half written")
    library.show("a", OLD, Status.FAILED)
    assert builds(library.search("gauge")) == {("a", OLD)}


@pytest.mark.invariant("I8")
def test_a_hit_that_is_dropped_makes_room_for_the_next(library: Library) -> None:
    """I8: the index is searched again without the stale builds until k is full; here they fill all that was checked at
    first."""
    k = 5
    library.add("stale", *["gauge gauge"] * CHECKED_PER_HIT * k)
    library.show("stale", NEW)
    library.add("good", *(f"gauge and much else {n}" for n in range(k)))
    answer = library.search("gauge", k=k)
    assert builds(answer) == {("good", OLD)}
    assert len(answer.hits) == k
    assert (answer.rounds, answer.dropped, answer.incomplete) == (2, CHECKED_PER_HIT * k, False)
    assert library.index.queries[-1].excluded == {("stale", OLD)}


@pytest.mark.invariant("I8")
def test_stale_hits_beyond_k_cost_no_second_round(library: Library) -> None:
    """I8: the remaining candidates fill k."""
    library.add("good", *["gauge"] * 3)
    library.add("stale", "gauge and more")
    library.show("stale", NEW)
    answer = library.search("gauge", k=3)
    assert (len(answer.hits), answer.rounds, answer.dropped, answer.incomplete) == (3, 1, 1, False)


@pytest.mark.invariant("I8")
def test_each_round_is_judged_by_one_read(library: Library) -> None:
    """I8: each round makes one batched read, with each document once."""
    for n in range(8):
        library.add(f"d{n}", "gauge one", "gauge two")
    library.show("d3", NEW)
    library.search("gauge", k=15)
    assert [len(read) for read in library.documents.reads] == [len(set(read)) for read in library.documents.reads]
    assert len(library.documents.reads) == len(library.index.queries) == 2


@pytest.mark.invariant("I8")
def test_after_three_rounds_an_answer_says_that_it_is_incomplete(library: Library) -> None:
    """I8."""
    for n in range(4 * DEPTH + 2 * CHECKED_PER_HIT):
        library.add(f"stale{n}", "gauge gauge")
        library.show(f"stale{n}", NEW)
    library.add("good", "gauge and much else besides this")
    answer = library.search("gauge", k=1)
    assert (answer.hits, answer.incomplete, answer.rounds) == ((), True, ROUNDS)
    assert answer.dropped >= CHECKED_PER_HIT + 2 * DEPTH
    assert len(library.documents.reads) == ROUNDS


@pytest.mark.invariant("I8")
def test_one_good_document_is_found_behind_the_leftovers_of_many_failed_ones(library: Library) -> None:
    """I8: after the first round, all candidates are judged."""
    for n in range(70):
        library.add(f"failed{n}", "gauge gauge")
        library.show(f"failed{n}", NEW)
    library.add("good", "gauge and much else besides this")
    answer = library.search("gauge", k=1)
    assert ([hit.document for hit in answer.hits], answer.incomplete) == (["good"], False)


@pytest.mark.invariant("I8")
def test_a_document_replaced_between_search_and_read_is_answered_with_its_new_build(library: Library) -> None:
    """I8: all hits are of the new build; never of both, never of none."""
    library.add("a", "gauge old one", "gauge old two")
    library.put("a", NEW, "gauge new one", "gauge new two")
    library.documents.before_read = [lambda: library.show("a", NEW)]
    answer = library.search("gauge")
    assert builds(answer) == {("a", NEW)}
    assert len(answer.hits) == 2


@pytest.mark.invariant("I8")
def test_a_build_excluded_as_stale_that_became_visible_is_found_after_all(library: Library) -> None:
    """I8: in the first round the new build was not yet visible; once it is, the old one is stale and the exclusion is
    lifted. Never both, never none."""
    library.add("a", "gauge old one", "gauge old two")
    library.put("a", NEW, "gauge new one", "gauge new two")
    library.documents.before_read = [lambda: None, lambda: library.show("a", NEW)]
    answer = library.search("gauge")
    assert builds(answer) == {("a", NEW)}
    assert (len(answer.hits), answer.rounds, answer.incomplete) == (2, 3, False)


@pytest.mark.invariant("I8")
def test_a_full_answer_still_waits_for_a_build_that_became_visible(library: Library) -> None:
    """I8: other hits that fill k must not hide a document whose build was wrongly excluded."""
    k = 3
    library.add("stale", *["gauge gauge"] * (CHECKED_PER_HIT * k - 2))
    library.show("stale", NEW)
    library.add("a", "gauge gauge old")
    library.put("a", NEW, "gauge gauge new")
    for other in ("b", "c", "d"):
        library.add(other, f"gauge and much else in {other}")
    library.documents.before_read = [lambda: None, lambda: library.show("a", NEW)]
    answer = library.search("gauge", k=k)
    assert [len(query.excluded) for query in library.index.queries] == [0, 2, 2]
    assert answer.hits[0].text == "gauge gauge new"
    assert (len(answer.hits), answer.rounds, answer.incomplete) == (k, 3, False)


@pytest.mark.invariant("I8")
def test_a_build_that_became_visible_is_found_though_no_other_of_its_document_was(library: Library) -> None:
    """I8: the records of excluded builds are read again too."""

    class Wordless(FakeEmbedder):
        def embed_query(self, tenant: TenantId, text: str) -> None:
            return None

    library.add("a", "nothing about it")
    library.put("a", NEW, "gauge new")
    library.embedder = Wordless()
    library.documents.before_read = [lambda: None, lambda: library.show("a", NEW)]
    assert builds(library.search("gauge")) == {("a", NEW)}


@pytest.mark.invariant("I8")
def test_a_build_that_became_visible_in_the_last_round_makes_the_answer_incomplete(library: Library) -> None:
    """I8: the answer says so, rather than leaving it out in silence."""
    newest = BuildId(3, 1)
    library.add("a", "gauge old")
    library.put("a", NEW, "gauge new")
    library.put("a", newest, "gauge newest")
    library.documents.before_read = [
        lambda: None,
        lambda: library.show("a", NEW),
        lambda: library.show("a", newest),
    ]
    answer = library.search("gauge")
    assert answer.hits == ()
    assert answer.incomplete


@pytest.mark.invariant("I8")
def test_a_document_deleted_between_the_rounds_is_in_no_answer(library: Library) -> None:
    """I8: the last read decides about all hits, including those of earlier rounds."""
    library.add("a", "gauge")
    library.add("b", "gauge")
    library.show("b", NEW)
    library.documents.before_read = [lambda: None, lambda: library.show("a", OLD, Status.DELETING)]
    answer = library.search("gauge")
    assert answer.hits == ()


@pytest.mark.invariant("I8")
@pytest.mark.parametrize("flip_at", range(4))
def test_whenever_a_replacement_falls_an_answer_is_wholly_old_or_wholly_new(library: Library, flip_at: int) -> None:
    """I8: the change comes at each place between the reads of a search, with the old build cleared or not."""
    for cleared in (False, True):
        library = Library()
        library.add("a", *(f"gauge old {n}" for n in range(3)))
        library.put("a", NEW, *(f"gauge new {n}" for n in range(3)))

        def flip(library: Library = library, cleared: bool = cleared) -> None:
            library.show("a", NEW)
            if cleared:
                library.index.clear(ACME, DocumentId("a"), older_than=NEW)

        library.documents.before_read = [lambda: None] * flip_at + [flip]
        answer = library.search("gauge")
        assert builds(answer) in ({("a", OLD)}, {("a", NEW)})
        assert len(answer.hits) == 3
        assert not answer.incomplete


def test_a_record_is_a_change_that_the_table_would_take(library: Library) -> None:
    """The records that this file makes by hand could be in a table."""
    library.add("a", "gauge")
    record = library.documents.read(ACME, DocumentId("a"))
    table = FakeDocumentTable()
    table.write(ACME, Change(None, record))
    assert table.read(ACME, DocumentId("a")) is not None
