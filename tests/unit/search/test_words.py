"""The splitting of texts and questions into terms."""

from __future__ import annotations

import pytest

from penstock.search.words import MOST_LETTERS, content_words, language_of, question_terms, required_phrases, terms_of


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("What is the gauge of the river?", "en"),
        ("Wie hoch ist der Wasserstand in Köln?", "de"),
        ("Quelle est la hauteur de la rivière ?", "fr"),
        ("¿Cuál es el nivel del agua en el río?", "es"),
        ("Parallel algorithms", None),
        ("Algorithm 123 (D. de la Cruz, E. L.)", None),
        ("水位", None),
        ("", None),
    ],
)
def test_a_language_is_detected_by_its_stop_words_or_not_at_all(text: str, language: str | None) -> None:
    assert language_of(text) == language


def test_a_question_of_unknown_language_is_looked_for_in_all() -> None:
    assert set(question_terms("Häuser")) >= {"haus", "hauser"}
    assert set(question_terms("what are the houses of the village")) == {"hous", "villag"}


def test_an_identifier_is_a_term_of_its_own_beside_its_parts() -> None:
    assert terms_of("pump XK‑2000/B") == ["pump", "xk", "2000", "b", "xk-2000/b"]
    assert question_terms("the XK-2000/B pump") == {"xk": 1, "2000": 1, "b": 1, "xk-2000/b": 1, "pump": 1}


def test_hyphens_without_a_digit_make_no_identifier() -> None:
    assert terms_of("well-known and/or so") == ["well", "known", "and", "or", "so"]


def test_content_words_are_those_of_the_questions_language() -> None:
    assert content_words("Wie hoch ist der Wasserstand?") == ["hoch", "Wasserstand"]
    assert content_words("who is it") == ["who", "is", "it"]
    assert content_words("die casting of the pump") == ["die", "casting", "pump"]


def test_no_term_is_long_and_two_long_words_are_two() -> None:
    one, other = terms_of("x" * 100_000), terms_of("x" * 99_999)
    assert one != other
    assert len(one[0]) <= MOST_LETTERS


@pytest.mark.parametrize(
    ("question", "phrases"),
    [
        ('"inlet valve"', ("inlet valve",)),
        ('"Inlet-Valve" pressure', ("inlet valve",)),
        ("“XK 2000” „drei Rohre“", ("xk 2000", "drei rohre")),
        ('a 5" pipe and a 6" pipe', ()),
        ('"', ()),
        ('""', ()),
        ('"?!" pump', ()),
        ('articles on text formatting systems, including "as you see" systems and others of their kind', ()),
    ],
)
def test_a_quoted_phrase_is_required_unless_prose_quotes_it(question: str, phrases: tuple[str, ...]) -> None:
    assert required_phrases(question) == phrases
