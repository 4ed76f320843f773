"""The part of a text that shows why it was found."""

from __future__ import annotations

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.search.snippet import LENGTH, Highlighter
from penstock.search.words import content_words, exact_words, question_terms, terms_of

FILLER = "The keeper of the lower gate wrote nothing in his book that day. " * 20


def test_a_snippet_and_the_page_cited_for_it_are_of_one_page() -> None:
    """The first page is cited if several are equally good."""
    pages = [(3, "The gate was left open."), (4, "The gate valve stands by the gate."), (6, "Nothing of the kind.")]
    assert Highlighter("gate valve").best_of(pages) == (
        4,
        "The <mark>gate</mark> <mark>valve</mark> stands by the <mark>gate</mark>.",
    )
    assert Highlighter("weir").best_of(pages)[0] == 3


def snippet(question: str, text: str) -> str:
    return Highlighter(question).snippet(text)


def shown(snippet: str) -> str:
    """The snippet as a reader sees it."""
    return html.unescape(re.sub("</?mark>", "", snippet))


def marked(snippet: str) -> list[str]:
    return [html.unescape(each) for each in re.findall("<mark>(.*?)</mark>", snippet)]


def test_a_short_text_is_shown_whole_with_its_matches_marked() -> None:
    assert snippet("water gauge", "Read the gauge.\n\n  Then note the water.") == (
        "Read the <mark>gauge</mark>. Then note the <mark>water</mark>."
    )


def test_a_match_far_into_the_text_is_shown() -> None:
    found = snippet("salmon", FILLER + "A salmon passed the weir." + FILLER)
    assert marked(found) == ["salmon"]
    assert found.startswith("…")
    assert found.endswith("…")


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        ("measuring", "measured"),
        ("gauges", "gauge"),
        ("GAUGE", "gauge"),
        ("ponies", "pony's"),
        ("naive", "Naïve"),
        ("naïve", "nai\u0308ve"),
        ("technological", "technology"),
        ("assemble", "assembly"),
        ("US", "us"),
        ("12", "12"),
    ],
)
def test_words_match_by_stem_whatever_their_case_and_accents(asked: str, word: str) -> None:
    assert len(marked(snippet(asked, f"there is {word} here"))) == 1


@pytest.mark.parametrize(
    ("asked", "text", "shown_as_found"),
    [
        ("Wasserstände", "Der Wasserstand ist hoch.", ["Wasserstand"]),
        ("inondations", "Une inondation dans la vallée.", ["inondation"]),
        ("compuertas", "La compuerta de la presa.", ["compuerta"]),
        ("水位", "今日の水位は高い。", ["水位"]),
        ("수위", "오늘의 수위가 높다", ["수위"]),
        ("水", "今日の水位", ["水"]),
        ("XK-2000", "Valve XK-2000 or XK 3000", ["XK", "2000", "XK"]),
    ],
)
def test_matches_are_marked_in_other_languages(asked: str, text: str, shown_as_found: list[str]) -> None:
    assert marked(snippet(asked, text)) == shown_as_found


def test_what_is_marked_is_what_the_index_matches() -> None:
    """Otherwise a hit would not show why it was found."""
    words = exact_words(FILLER + "technologies assembly US flies dying agreed 2nd naïve generalization Häuser maisons")
    for asked in words:
        matched = {word for word in words if question_terms(asked).keys() & set(terms_of(word))}
        assert matched == {word for word in words if marked(snippet(asked, word))}
        assert asked in matched


def test_stop_words_are_not_marked_unless_there_are_no_others() -> None:
    assert marked(snippet("what is the gauge", "What is the gauge?")) == ["gauge"]
    assert marked(snippet("to be or not", "To be, or not to be")) == ["To", "be", "or", "not", "to", "be"]


def test_the_passage_with_most_different_words_is_preferred() -> None:
    text = "salmon salmon salmon salmon. " + FILLER + "One salmon at the weir." + FILLER
    assert marked(snippet("salmon weir", text)) == ["salmon", "weir"]


def test_a_text_without_match_is_shown_from_its_beginning() -> None:
    found = snippet("xylophone", FILLER)
    assert found.startswith("The keeper of the lower gate")
    assert found.endswith("…")
    assert LENGTH - 20 < len(found) <= LENGTH + 1


def test_words_are_not_cut() -> None:
    words = set(FILLER.split()) | {"salmon"}
    assert set(shown(snippet("salmon", FILLER + "salmon " + FILLER)).strip("…").split()) <= words


def test_markup_in_the_text_is_shown_not_obeyed() -> None:
    found = snippet("gauge mark", '<script>gauge("x")</script> & <mark>')
    assert "<script>" not in found
    assert shown(found) == '<script>gauge("x")</script> & <mark>'
    assert marked(found) == ["gauge", "mark"]


@pytest.mark.parametrize("text", ["", " \n ", "x" * 5000, "水位" * 1000, "gauge" + "x" * 5000, "\0" * 500])
def test_absurd_texts_give_bounded_snippets(text: str) -> None:
    for question in ("gauge", "x" * 5000, "水位" * 1000, "!!!", ""):
        assert len(shown(snippet(question, text))) <= LENGTH + 2


@given(
    st.lists(
        st.sampled_from(["gauge", "gauges", "salmon", "a", "<b>", "&", "keeper's", "x" * 300, "\n", "é"]), max_size=200
    ),
    st.sampled_from(["gauge", "salmon gauge", "xylophone", "é keeper"]),
)
def test_a_snippet_is_of_the_text_within_its_length_and_shows_a_match_where_there_is_one(
    words: list[str], question: str
) -> None:
    text = " ".join(" ".join(words).split())
    found = snippet(question, text)
    visible = shown(found)
    assert len(visible) <= LENGTH + 2
    assert visible.strip("…") in text
    stems = {"gauge", "gauges"} if "gauge" in question else set()
    wanted = stems | set(question.split())
    assert bool(marked(found)) == any(word in {*wanted, *exact_words(question)} for word in exact_words(text))


def test_content_words_keep_repetitions_and_drop_stop_words() -> None:
    assert content_words("What is the gauge of the gauge, the 2nd one?") == ["gauge", "gauge", "2nd", "one"]
    assert content_words("who is it") == ["who", "is", "it"]
    assert content_words("?!") == []
