"""The promises of every SearchIndex."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from penstock.adapters.sqlite.index import SqliteIndex
from penstock.domain.chunk import Candidate, Chunk, Count, Entry, IndexQuery, Space, Vector
from penstock.domain.errors import EmbedderChanged
from penstock.domain.ids import BuildId, DocumentId, TenantId
from penstock.ports import SearchIndex
from penstock.search.words import exact_words, question_terms
from tests.support.fakes.index import FakeSearchIndex

SPACE = Space("letters", 32)
ACME, GLOBEX = TenantId("acme"), TenantId("globex")
DOC = DocumentId("doc")
BUILD_ID = BuildId(1, 1)
NONSENSE = [
    '"',
    '"" OR',
    "AND OR NOT NEAR(",
    "text:word",
    "a* ^b {c} (d",
    "- + ! \\ ; --",
    "one\0two",
    "😀 👩‍👩‍👧",
    "\ud800",
    "١٢٣ 文書 ﷽",
    "' OR 1=1 --",
    "%_?",
    "\n\t",
    "x" * 100_000,
    "word " * 20_000,
]


@pytest.fixture(params=["sqlite", "opensearch", "fake"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Space], SearchIndex]:
    """A function that opens the same index again."""
    if request.param == "opensearch":
        opened: Callable[[Space], SearchIndex] = request.getfixturevalue("open_on_server")
        return opened
    fake = FakeSearchIndex(SPACE)
    return {
        "sqlite": lambda space: SqliteIndex(tmp_path / "index", space),
        "fake": lambda space: FakeSearchIndex(space, fake.shelves, fake.spaces),
    }[request.param]


@pytest.fixture
def index(reopen: Callable[[Space], SearchIndex]) -> SearchIndex:
    return reopen(SPACE)


def direction(*numbers: float) -> Vector:
    vector = np.zeros(SPACE.dimensions, np.float32)
    vector[: len(numbers)] = numbers
    return vector / np.linalg.norm(vector)


def vector_of(text: str) -> Vector:
    return direction(*(byte - 127 for byte in hashlib.sha256(text.encode()).digest()[: SPACE.dimensions]))


def entry(
    text: str,
    ordinal: int = 0,
    document: str = DOC,
    build_id: BuildId = BUILD_ID,
    *,
    vector: Vector | None = None,
    refused: bool = False,
    source: str = "api",
    metadata: Mapping[str, str] | None = None,
) -> Entry:
    return Entry(
        document=DocumentId(document),
        build_id=build_id,
        chunk=Chunk(
            ordinal,
            text,
            first_page=ordinal + 1,
            last_page=ordinal + 2,
            section=("Part", "Chapter"),
            breaks=((3, ordinal + 2),),
        ),
        hash=SPACE.text_hash(text),
        vector=None if refused else vector_of(text) if vector is None else vector,
        name="report.pdf",
        source=source,
        paged=True,
        metadata=metadata or {},
    )


def put(index: SearchIndex, *entries: Entry, tenant: TenantId = ACME) -> None:
    index.put(tenant, entries)
    index.refresh(tenant)


def found(index: SearchIndex, text: str = "", *, tenant: TenantId = ACME, **asked: object) -> dict[str, Candidate]:
    """The candidates, by id."""
    query = IndexQuery(**{"terms": question_terms(text), "vector": None, "depth": 10, **asked})  # type: ignore[arg-type]
    candidates = index.candidates(tenant, query).found
    assert len({each.entry.id for each in candidates}) == len(candidates), "an entry was found twice"
    return {each.entry.id: each for each in candidates}


def texts(candidates: dict[str, Candidate]) -> set[str]:
    return {each.entry.chunk.text for each in candidates.values()}


# Tenants


@pytest.mark.invariant("I10")
def test_a_tenant_never_sees_the_chunks_or_vectors_of_another(index: SearchIndex) -> None:
    """I10."""
    put(index, entry("salmon ladder"), tenant=GLOBEX)
    put(index, entry("water gauge"))
    assert texts(found(index, "salmon water", vector=vector_of("salmon ladder"))) == {"water gauge"}
    assert index.known_vectors(ACME, [SPACE.text_hash("salmon ladder")]) == {}
    assert index.count(ACME, DOC, BUILD_ID) == Count(1, 1)
    assert index.clear(ACME, DOC) == 1
    assert index.count(GLOBEX, DOC, BUILD_ID) == Count(1, 1)


@pytest.mark.invariant("I10")
def test_scores_of_a_tenant_do_not_depend_on_the_chunks_of_another(index: SearchIndex) -> None:
    """I10: not even the frequency of a word is revealed."""
    put(index, entry("salmon ladder", 0), entry("water gauge", 1))
    before = {each: (c.bm25, c.cosine) for each, c in found(index, "salmon", vector=direction(1)).items()}
    put(index, *(entry(f"salmon {n}", n) for n in range(20)), tenant=GLOBEX)
    assert {each: (c.bm25, c.cosine) for each, c in found(index, "salmon", vector=direction(1)).items()} == before


def test_a_tenant_without_chunks_gets_empty_answers(index: SearchIndex) -> None:
    assert found(index, "water", vector=direction(1)) == {}
    assert index.candidates(ACME, IndexQuery({"water": 1}, direction(1), 10)).mean_cosine == 0
    assert index.known_vectors(ACME, [SPACE.text_hash("water")]) == {}
    assert index.count(ACME, DOC, BUILD_ID) == Count(0, 0)
    assert list(index.without_vector(ACME, DOC, BUILD_ID, 10)) == []
    assert index.clear(ACME, DOC) == 0
    index.refresh(ACME)
    index.check()


# What is stored


def test_an_entry_comes_back_as_it_was_put(index: SearchIndex) -> None:
    whole = entry("Zürich «gauge» \0 with NUL, 文書 and 😀", 3, metadata={"a=b": "c=d", "team": "pumps"})
    put(index, whole)
    (candidate,) = found(index, "gauge", vector=vector_of("x")).values()
    stored = candidate.entry
    assert (stored.id, stored.chunk, stored.hash) == (whole.id, whole.chunk, whole.hash)
    assert (stored.name, stored.source, stored.paged) == (whole.name, whole.source, whole.paged)
    assert stored.metadata == whole.metadata


@pytest.mark.invariant("I3")
def test_an_entry_put_again_overwrites_itself(index: SearchIndex) -> None:
    """I3: a redelivery stores nothing twice."""
    put(index, entry("old words", vector=direction(1)))
    put(index, entry("new words", vector=direction(0, 1)))
    assert index.count(ACME, DOC, BUILD_ID) == Count(1, 1)
    assert found(index, "old") == {}
    (candidate,) = found(index, "new", vector=direction(0, 1)).values()
    assert candidate.entry.chunk.text == "new words"
    assert candidate.cosine == pytest.approx(1)


def test_of_an_id_put_twice_at_once_the_last_stays(index: SearchIndex) -> None:
    put(index, entry("first"), entry("last"))
    assert index.count(ACME, DOC, BUILD_ID) == Count(1, 1)
    assert texts(found(index, "first last")) == {"last"}


def test_thousands_of_entries_are_put_counted_and_cleared(index: SearchIndex) -> None:
    put(index, *(entry(f"line {n}", n) for n in range(2345)))
    assert index.count(ACME, DOC, BUILD_ID) == Count(2345, 2345)
    assert index.clear(ACME, DOC) == 2345
    assert index.count(ACME, DOC, BUILD_ID) == Count(0, 0)
    assert found(index, "line", vector=direction(1)) == {}


def test_known_vectors_are_those_of_texts_that_have_one(index: SearchIndex) -> None:
    put(index, entry("known"), entry("refused", 1, refused=True), entry("known", 2))
    hashes = [SPACE.text_hash(text) for text in ("known", "refused", "unheard of")]
    known = index.known_vectors(ACME, hashes)
    assert list(known) == hashes[:1]
    assert known[hashes[0]].dtype == np.float32
    np.testing.assert_array_equal(known[hashes[0]], vector_of("known"))


def test_a_vector_stays_known_while_any_chunk_of_its_text_is_left(index: SearchIndex) -> None:
    put(index, entry("shared", document="a"), entry("shared", document="b"))
    index.clear(ACME, DocumentId("a"))
    index.refresh(ACME)
    assert SPACE.text_hash("shared") in index.known_vectors(ACME, [SPACE.text_hash("shared")])
    index.clear(ACME, DocumentId("b"))
    index.refresh(ACME)
    assert index.known_vectors(ACME, [SPACE.text_hash("shared")]) == {}


def test_counts_are_of_exactly_one_build(index: SearchIndex) -> None:
    put(
        index,
        entry("a", 0),
        entry("b", 1, refused=True),
        entry("a", 0, build_id=BuildId(1, 2)),
        entry("a", 0, build_id=BuildId(2, 1)),
        entry("a", 0, document="doc2"),
    )
    assert index.count(ACME, DOC, BUILD_ID) == Count(2, 1)


def test_everything_is_listed_by_document_and_build(index: SearchIndex) -> None:
    assert list(index.builds(ACME)) == []
    held = {
        ("a", BuildId(2, 1)): 1,
        ("a", BuildId(10, 1)): 2,
        ("a-b", BuildId(1, 1)): 1,
        ("B", BuildId(1, 2)): 3,
        ("a", BuildId(2, 3)): 1,
    }
    for (document, build_id), chunks in held.items():
        put(index, *(entry(f"t{n}", n, document, build_id, refused=n == 2) for n in range(chunks)))
    put(index, entry("another's"), tenant=GLOBEX)
    listed = [((document, build_id), count) for document, build_id, count in index.builds(ACME)]
    assert listed == [(each, Count(held[each], min(held[each], 2))) for each in sorted(held)]
    assert [(build_id, count.chunks) for _, build_id, count in index.builds(ACME, DocumentId("a"))] == [
        (BuildId(2, 1), 1),
        (BuildId(2, 3), 1),
        (BuildId(10, 1), 2),
    ]
    assert list(index.builds(ACME, DocumentId("absent"))) == []


@pytest.mark.parametrize("one", [False, True])
def test_a_long_list_of_builds_is_complete(index: SearchIndex, one: bool) -> None:
    builds = [("doc" if one else f"d{n:04}", BuildId(n + 1 if one else 1, 1)) for n in range(1203)]
    put(index, *(entry("word", 0, document, build_id) for document, build_id in builds))
    assert [(document, build_id) for document, build_id, _ in index.builds(ACME, DOC if one else None)] == builds


def test_chunks_without_a_vector_are_named_in_order(index: SearchIndex) -> None:
    put(index, *(entry(f"t{n}", n, refused=n in {12, 2, 7}) for n in range(15)))
    put(index, entry("other", 0, build_id=BuildId(1, 2), refused=True))
    assert list(index.without_vector(ACME, DOC, BUILD_ID, 10)) == [2, 7, 12]
    assert list(index.without_vector(ACME, DOC, BUILD_ID, 2)) == [2, 7]


def test_clear_removes_only_older_builds(index: SearchIndex) -> None:
    builds = [BuildId(1, 1), BuildId(1, 9), BuildId(2, 1), BuildId(2, 2), BuildId(10, 1)]
    put(index, *(entry(f"word {build_id}", build_id=build_id) for build_id in builds), entry("word", document="doc2"))
    assert index.clear(ACME, DOC, older_than=BuildId(2, 2)) == 3
    index.refresh(ACME)
    assert {each.entry.build_id for each in found(index, "word", documents=(DOC,)).values()} == {
        BuildId(2, 2),
        BuildId(10, 1),
    }
    assert index.clear(ACME, DOC) == 2
    index.refresh(ACME)
    assert {each.entry.document for each in found(index, "word").values()} == {"doc2"}


def test_clear_leaves_the_build_that_it_must_keep(index: SearchIndex) -> None:
    builds = [BuildId(1, 1), BuildId(2, 1), BuildId(2, 3), BuildId(3, 1)]
    put(index, *(entry(f"word {build_id}", build_id=build_id) for build_id in builds))
    assert index.clear(ACME, DOC, older_than=BuildId(3, 1), keep=BuildId(2, 1)) == 2
    assert [index.count(ACME, DOC, build_id).chunks for build_id in builds] == [0, 1, 0, 1]


def test_clear_includes_what_was_not_refreshed_yet(index: SearchIndex) -> None:
    index.put(ACME, [entry("late")])
    assert index.clear(ACME, DOC) == 1
    index.refresh(ACME)
    assert found(index, "late", vector=direction(1)) == {}


# Words


def test_more_matching_words_score_higher_and_none_scores_nothing(index: SearchIndex) -> None:
    put(index, entry("salmon ladder weir", 0), entry("salmon soup", 1), entry("bridge toll", 2), entry("tower", 3))
    scores = {c.entry.chunk.ordinal: c.bm25 for c in found(index, "salmon weir", vector=direction(1)).values()}
    assert scores[0] > scores[1] > 0
    assert scores[2] == scores[3] == 0


def test_a_word_asked_twice_weighs_more(index: SearchIndex) -> None:
    put(index, entry("salmon soup", 0), entry("bridge toll", 1), entry("tower", 2))
    once, twice = (found(index, text) for text in ("salmon bridge", "salmon salmon bridge"))
    salmon = entry("", 0).id
    assert twice[salmon].bm25 > once[salmon].bm25


def test_words_match_whatever_their_case_and_accents(index: SearchIndex) -> None:
    put(index, entry("The CAFÉ near the nai\u0308ve painter", 0), entry("elsewhere", 1))
    for asked in ("cafe", "Café", "cafe\u0301", "NAÏVE", "naive"):
        assert len(found(index, asked)) == 1, asked


def test_without_words_and_vector_nothing_is_found(index: SearchIndex) -> None:
    put(index, entry("water"))
    assert found(index, "") == {}


@pytest.mark.parametrize("text", NONSENSE, ids=lambda text: ascii(text[:12]))
def test_no_text_is_taken_for_syntax(index: SearchIndex, text: str) -> None:
    put(index, entry("water one two word"))
    assert set(found(index, text)) <= {entry("").id}
    assert len(found(index, f"{text[:50]} water")) == 1


# Vectors


def test_cosines_are_exact_and_nearest_come_first(index: SearchIndex) -> None:
    rng = np.random.default_rng(7)
    vectors = [direction(*rng.normal(size=SPACE.dimensions)) for _ in range(300)]
    put(index, *(entry(f"t{n}", n, vector=vector) for n, vector in enumerate(vectors)))
    asked = direction(*rng.normal(size=SPACE.dimensions))
    nearest = sorted(range(300), key=lambda n: -float(vectors[n] @ asked))[:10]
    candidates = found(index, vector=asked)
    assert {each.entry.chunk.ordinal for each in candidates.values()} == set(nearest)
    for each in candidates.values():
        assert each.cosine == pytest.approx(float(vectors[each.entry.chunk.ordinal] @ asked), abs=2e-6)


def test_the_mean_cosine_is_that_of_all_vectors_stored_now(index: SearchIndex) -> None:
    def mean() -> float:
        return index.candidates(ACME, IndexQuery({}, direction(1), 1)).mean_cosine

    put(index, entry("a", 0, vector=direction(1)), entry("b", 1, vector=direction(0, 1)))
    assert mean() == pytest.approx(0.5)
    put(index, entry("c", 0, "other", vector=direction(-1)), entry("d", 1, "other", refused=True))
    assert mean() == pytest.approx(0)
    index.clear(ACME, DOC)
    index.refresh(ACME)
    assert mean() == pytest.approx(-1)


def test_a_chunk_without_vector_is_found_by_words(index: SearchIndex) -> None:
    put(index, entry("salmon", 0, refused=True), entry("bridge", 1, vector=direction(1)))
    candidates = {c.entry.chunk.text: c for c in found(index, "salmon", vector=direction(1)).values()}
    assert candidates["salmon"].cosine is None
    assert candidates["salmon"].bm25 > 0
    assert candidates["bridge"].cosine == pytest.approx(1)


def test_without_a_question_vector_there_are_no_cosines(index: SearchIndex) -> None:
    put(index, entry("salmon"))
    (candidate,) = found(index, "salmon").values()
    assert candidate.cosine is None


# Both arms


def test_each_arm_gives_its_best_and_each_candidate_is_scored_by_both(index: SearchIndex) -> None:
    put(
        index,
        entry("salmon salmon salmon", 0, vector=direction(-1)),
        entry("salmon and much else besides", 1, vector=direction(1)),
        entry("bridge", 2, vector=direction(1, 0.5)),
        entry("tower", 3, vector=direction(0, 1)),
    )
    candidates = {c.entry.chunk.ordinal: c for c in found(index, "salmon", vector=direction(1), depth=1).values()}
    assert set(candidates) == {0, 1}
    assert candidates[0].cosine == pytest.approx(-1)
    assert 0 < candidates[1].bm25 < candidates[0].bm25


@pytest.mark.parametrize("arm", ["words", "vectors"])
def test_exact_ties_are_resolved_by_id(index: SearchIndex, arm: str) -> None:
    """Equal texts score equally wherever they are stored, so that an answer is the same each time."""
    rng = np.random.default_rng(3)
    vector = direction(*rng.normal(size=SPACE.dimensions))
    put(index, *(entry(f"other {n}", n, "zzz", vector=-vector) for n in range(4)))
    put(index, *(entry("same text", n, vector=vector) for n in reversed(range(43))))
    for _ in range(10):
        question = direction(*(vector + rng.normal(size=SPACE.dimensions) / 10))
        asked = {"text": "same"} if arm == "words" else {"vector": question}
        assert sorted(found(index, depth=7, **asked)) == sorted(entry("", n).id for n in range(43))[:7]


@pytest.mark.parametrize("arm", ["words", "vectors"])
def test_filters_apply_before_the_best_are_taken(index: SearchIndex, arm: str) -> None:
    put(index, *(entry("salmon salmon", n, "best", source="web", vector=direction(1)) for n in range(30)))
    put(index, entry("salmon and some other words", 0, "wanted", vector=direction(1, 1)))
    put(index, entry("salmon and even more other words", 0, "third", build_id=BuildId(2, 1), vector=direction(1, 2)))
    asked = {"text": "salmon"} if arm == "words" else {"vector": direction(1)}

    def documents(**filters: object) -> set[str]:
        return {each.entry.document for each in found(index, depth=2, **asked, **filters).values()}

    assert documents() == {"best"}
    assert documents(sources=("api",)) == {"wanted", "third"}
    assert documents(sources=("web", "api")) == {"best"}
    assert documents(sources=("nowhere",)) == set()
    assert documents(documents=(DocumentId("wanted"),)) == {"wanted"}
    assert documents(documents=(DocumentId("wanted"), DocumentId("absent"))) == {"wanted"}
    assert documents(excluded=frozenset({(DocumentId("best"), BUILD_ID)})) == {"wanted", "third"}
    assert documents(excluded=frozenset({(DocumentId("best"), BuildId(2, 1))})) == {"best"}
    both = frozenset({(DocumentId("best"), BUILD_ID), (DocumentId("third"), BuildId(2, 1))})
    assert documents(excluded=both) == {"wanted"}
    assert documents(excluded=both, sources=("web",)) == set()


@pytest.mark.parametrize("arm", ["words", "vectors"])
def test_metadata_and_dates_are_filters_too(index: SearchIndex, arm: str) -> None:
    """A generation's number is the time of its arrival."""
    put(
        index,
        entry("salmon", 0, "a", BuildId(1000, 1), metadata={"team": "pumps", "year": "1"}, vector=direction(1)),
        entry("salmon and more", 0, "b", BuildId(2000, 1), metadata={"team": "pumps"}, vector=direction(1, 1)),
        entry("salmon and much more", 0, "c", BuildId(3000, 1), metadata={"team": "year"}, vector=direction(1, 2)),
    )
    asked = {"text": "salmon"} if arm == "words" else {"vector": direction(1)}

    def documents(**filters: object) -> set[str]:
        return {each.entry.document for each in found(index, depth=9, **asked, **filters).values()}

    assert documents(metadata=(("team", "pumps"),)) == {"a", "b"}
    assert documents(metadata=(("team", "pumps"), ("year", "1"))) == {"a"}
    assert documents(metadata=(("year", "pumps"),)) == set()
    assert documents(since=2000) == {"b", "c"}
    assert documents(before=2000) == {"a"}
    assert documents(since=1001, before=3000) == {"b"}


@pytest.mark.parametrize("arm", ["words", "vectors"])
@pytest.mark.parametrize(
    ("phrase", "texts_with_it"),
    [
        ("inlet valve", {"The inlet valve, open.", "Inlet-Valve!"}),
        ("valve inlet", {"A valve inlet; two inlet and valves."}),
        ("valves", {"A valve inlet; two inlet and valves."}),
        ("水位計", {"今日の水位計は高い"}),
        ("no such", set()),
    ],
)
def test_a_phrase_is_held_exactly_or_not_at_all(
    index: SearchIndex, arm: str, phrase: str, texts_with_it: set[str]
) -> None:
    held = [
        "The inlet valve, open.",
        "Inlet-Valve!",
        "A valve inlet; two inlet and valves.",
        "今日の水位計は高い",
        "水位と計",
    ]
    put(index, *(entry(text, n) for n, text in enumerate(held)))
    asked = {"text": phrase} if arm == "words" else {"vector": direction(1)}
    phrases = (" ".join(exact_words(phrase)),)
    assert texts(found(index, phrases=phrases, **asked)) == texts_with_it


@pytest.mark.parametrize("asked", ["XK-2000/B", "xk-2000/b", "the XK‑2000/B pump"])
def test_an_identifier_is_found_before_all_that_only_resemble_it(index: SearchIndex, asked: str) -> None:
    others = [f"Pump XK-{n}/B and XK-2000/C, B 2000 XK, XK 2000" for n in range(2001, 2030)]
    put(index, entry("Order pump XK-2000/B from the store.", 99), *(entry(t, n) for n, t in enumerate(others)))
    best = max(found(index, asked, depth=50).values(), key=lambda each: each.bm25)
    assert best.entry.chunk.ordinal == 99


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ("gauges", "The gauge of the river is in the hut."),
        ("Wasserstand", "Die Wasserstände der Flüsse sind auf der Tafel zu lesen."),
        ("inondation", "Les inondations dans la vallée sont plus rares."),
        ("compuerta", "Las compuertas de la presa se abren por la noche."),
        ("水位", "今日の水位は高い"),
        ("管理", "文書管理系统"),
        ("수위", "오늘의 수위가 높다"),
    ],
)
def test_words_match_in_their_language(index: SearchIndex, asked: str, text: str) -> None:
    put(index, entry(text, 0), entry("elsewhere", 1))
    assert texts(found(index, asked)) == {text}


def test_a_filtered_candidate_is_still_scored_by_both_arms(index: SearchIndex) -> None:
    put(index, entry("salmon", 0, vector=direction(1)), entry("toll", 0, "x", source="web", vector=direction(1)))
    candidates = found(index, "salmon", vector=direction(1), sources=("api",))
    assert [(c.bm25 > 0, c.cosine is not None) for c in candidates.values()] == [(True, True)]


def test_answers_follow_each_change(index: SearchIndex) -> None:
    """What the index holds in memory is brought up to date by the next question."""
    rng = np.random.default_rng(11)
    expected: dict[str, Vector] = {}
    for step in range(60):
        document = f"d{rng.integers(6)}"
        if rng.random() < 0.35:
            index.clear(ACME, DocumentId(document))
            index.refresh(ACME)
            expected = {each: v for each, v in expected.items() if not each.startswith(f"{document}:")}
        else:
            new = [
                entry(f"s{step} {n}", n, document, vector=direction(*rng.normal(size=SPACE.dimensions)))
                for n in range(rng.integers(9))
            ]
            put(index, *new)
            expected |= {each.id: each.vector for each in new}
        asked = direction(*rng.normal(size=SPACE.dimensions))
        candidates = index.candidates(ACME, IndexQuery({}, asked, 1000))
        assert {c.entry.id: c.cosine for c in candidates.found} == {
            each: pytest.approx(float(vector @ asked), abs=2e-6) for each, vector in expected.items()
        }
        if expected:
            mean = sum(float(vector @ asked) for vector in expected.values()) / len(expected)
            assert candidates.mean_cosine == pytest.approx(mean, abs=1e-5)


# Threads, and opening again


def test_threads_may_write_and_search_at_once(index: SearchIndex) -> None:
    """Words, vectors and entries of an answer are of one state of the index."""
    names = ("a", "b", "c")

    def write(name: str) -> None:
        for generation in range(1, 6):
            put(index, *(entry(f"water {name} {n}", n, name, BuildId(generation, 1)) for n in range(20)))
            index.clear(ACME, DocumentId(name), older_than=BuildId(generation, 1))
            index.refresh(ACME)

    def read(writing: Sequence[Future[None]]) -> None:
        while not all(each.done() for each in writing):
            for each in found(index, "water", vector=direction(1), depth=50).values():
                assert each.cosine is not None
                assert each.bm25 > 0

    with ThreadPoolExecutor(6) as threads:
        writing = [threads.submit(write, name) for name in names]
        for work in [*writing, *(threads.submit(read, writing) for _ in range(3))]:
            work.result()
    assert [index.count(ACME, DocumentId(name), BuildId(5, 1)) for name in names] == [Count(20, 20)] * 3
    assert len(found(index, "water", vector=direction(1), depth=100)) == 60


def test_what_was_put_is_there_when_opened_again(reopen: Callable[[Space], SearchIndex]) -> None:
    put(reopen(SPACE), entry("salmon"))
    assert texts(found(reopen(SPACE), "salmon", vector=direction(1))) == {"salmon"}


@pytest.mark.parametrize("other", [Space("letters", 16), Space("numbers", 32)], ids=str)
def test_an_index_of_another_embedder_is_refused(reopen: Callable[[Space], SearchIndex], other: Space) -> None:
    """Vectors of two models are never mixed, and the message names both models."""
    put(reopen(SPACE), entry("salmon"))
    opened = reopen(other)
    refused: list[Callable[[], object]] = [
        opened.check,
        lambda: opened.put(ACME, [entry("x", refused=True)]),
        lambda: opened.count(ACME, DOC, BUILD_ID),
        lambda: opened.known_vectors(ACME, [other.text_hash("salmon")]),
        lambda: opened.candidates(ACME, IndexQuery({"salmon": 1}, None, 10)),
    ]
    for call in refused:
        with pytest.raises(EmbedderChanged) as caught:
            call()
        assert str(SPACE) in str(caught.value)
        assert str(other) in str(caught.value)
    reopen(SPACE).check()
    assert reopen(SPACE).count(ACME, DOC, BUILD_ID) == Count(1, 1)
