"""One score from words and vectors."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.domain.chunk import Candidate, Candidates, Chunk, Entry, TextHash
from penstock.domain.ids import BuildId, DocumentId
from penstock.search.fuse import fuse


def candidate(name: str, bm25: float, cosine: float | None) -> Candidate:
    entry = Entry(
        DocumentId(name), BuildId(1, 1), Chunk(0, name, 1, 1), TextHash(name), None, name, "source", paged=False
    )
    return Candidate(entry, bm25, cosine)


def scores(*found: Candidate, mean: float = 0.0, weight: float = 0.4) -> dict[str, float]:
    """The documents, best first."""
    return {each.candidate.entry.document: each.score for each in fuse(Candidates(found, mean), weight)}


def test_each_arm_counts_by_its_weight_and_relative_to_its_own_best() -> None:
    found = scores(candidate("a", 8, 0.2), candidate("b", 4, 0.6), candidate("c", 0, 0.5), mean=0.1)
    assert found == pytest.approx(
        {"a": 0.4 * 0.1 / 0.5 + 0.6, "b": 0.4 + 0.6 * 0.5, "c": 0.4 * 0.4 / 0.5},
    )
    assert list(found) == ["b", "a", "c"]


def test_a_cosine_no_better_than_that_of_the_mean_adds_nothing_and_a_worse_one_takes_away() -> None:
    found = scores(candidate("a", 0, 0.9), candidate("b", 0, 0.5), candidate("c", 0, 0.3), mean=0.5)
    assert found == pytest.approx({"a": 0.4, "b": 0.0, "c": -0.2})


def test_a_missing_vector_adds_nothing() -> None:
    assert scores(candidate("a", 2, None), candidate("b", 1, 0.5)) == pytest.approx({"a": 0.6, "b": 0.7})


def test_without_any_vector_words_decide() -> None:
    assert scores(candidate("a", 1, None), candidate("b", 2, None)) == pytest.approx({"b": 0.6, "a": 0.3})


def test_without_any_word_vectors_decide() -> None:
    assert scores(candidate("a", 0, 0.1), candidate("b", 0, 0.2)) == pytest.approx({"b": 0.4, "a": 0.2})


def test_cosines_that_lie_on_the_mean_say_nothing() -> None:
    """A single chunk is its own mean: the rounding error between them must not become a score."""
    assert scores(candidate("a", 0, 0.5000001), candidate("b", 1, 0.5), mean=0.5) == {"b": 0.6, "a": 0.0}


def test_nothing_found_is_nothing_ranked() -> None:
    assert scores() == {}


def test_ties_are_resolved_by_id() -> None:
    assert list(scores(candidate("b", 1, 0.5), candidate("a", 1, 0.5), candidate("c", 1, 0.5))) == ["a", "b", "c"]


cosines = st.none() | st.floats(-1, 1)


@given(st.lists(st.tuples(st.floats(0, 50), cosines), max_size=12), st.floats(-1, 1), st.floats(0, 1), st.randoms())
def test_all_are_ranked_at_most_1_in_an_order_that_theirs_does_not_change(
    found: list[tuple[float, float | None]], mean: float, weight: float, random: object
) -> None:
    candidates = [candidate(f"d{n:02}", bm25, cosine) for n, (bm25, cosine) in enumerate(found)]
    ranked = scores(*candidates, mean=mean, weight=weight)
    assert len(ranked) == len(found)
    assert all(score <= 1 + 1e-9 for score in ranked.values())
    assert list(ranked.values()) == sorted(ranked.values(), reverse=True)
    random.shuffle(candidates)  # type: ignore[attr-defined]
    assert list(scores(*candidates, mean=mean, weight=weight).items()) == list(ranked.items())
