"""Cutting pages into chunks: nothing lost, nothing too large, pages true, and few cuts moved by an edit."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.domain.chunk import Chunk, Page, Section
from penstock.domain.errors import Misconfigured
from penstock.pipeline.split import split
from tests.support.generated_prose import Prose

LARGEST, OVERLAP = 4000, 400


def always(_: str) -> bool:
    return True


def chunks_of(
    pages: Sequence[Page] | str,
    *,
    largest: int = LARGEST,
    overlap: int = OVERLAP,
    fits: Callable[[str], bool] = always,
) -> list[Chunk]:
    if isinstance(pages, str):
        pages = [Page(1, pages)]
    return list(split(iter(pages), largest=largest, overlap=overlap, fits=fits))


def joined(pages: Sequence[Page]) -> tuple[str, list[int]]:
    """The text of all pages, and the page of each character."""
    text, numbers = "", []
    for page in pages:
        if text and page.text and not text[-1].isspace() and not page.text[0].isspace():
            text += "\n"
            numbers.append(numbers[-1])
        text += page.text
        numbers += [page.number] * len(page.text)
    return text, numbers


words = st.text(st.sampled_from("abcdeé .!?。\n\r\t\u0301#😀"), max_size=200)
page_lists = st.lists(words, max_size=12).map(lambda texts: [Page(n, text) for n, text in enumerate(texts, 1)])
sizes = st.integers(1, 60)


@given(page_lists, sizes)
def test_nothing_is_lost_and_nothing_comes_twice(pages: list[Page], largest: int) -> None:
    """The chunks without their overlap, joined, are the text, except chunks of white space."""
    text, _ = joined(pages)
    rest = text
    for chunk in chunks_of(pages, largest=largest, overlap=0):
        before, found, rest = rest.partition(chunk.text)
        assert found
        assert not before.strip()
    assert not rest.strip()


@given(page_lists, sizes, st.integers(0, 30))
def test_no_chunk_is_longer_than_the_largest(pages: list[Page], core: int, overlap: int) -> None:
    assert all(len(chunk.text) <= core + overlap for chunk in chunks_of(pages, largest=core + overlap, overlap=overlap))


@given(page_lists, sizes, st.integers(0, 30))
def test_overlap_repeats_what_came_before_and_moves_no_cut(pages: list[Page], core: int, overlap: int) -> None:
    text, _ = joined(pages)
    plain = chunks_of(pages, largest=core, overlap=0)
    overlapping = chunks_of(pages, largest=core + overlap, overlap=overlap)
    for place, own, chunk in zip(_places(text, plain), plain, overlapping, strict=True):
        end = place + len(own.text)
        assert chunk.text == text[end - len(chunk.text) : end]
        assert len(own.text) <= len(chunk.text)


@given(page_lists, sizes, st.integers(0, 30), st.integers(1, 50))
def test_no_chunk_is_above_the_window_of_the_embedder(pages: list[Page], core: int, overlap: int, most: int) -> None:
    def fits(text: str) -> bool:
        return len(text) == 1 or len(text.encode()) <= most

    found = chunks_of(pages, largest=core + overlap, overlap=overlap, fits=fits)
    assert all(fits(chunk.text) for chunk in found)


@given(page_lists, sizes, st.integers(1, 50))
def test_nothing_is_lost_where_chunks_are_cut_smaller(pages: list[Page], largest: int, most: int) -> None:
    text, _ = joined(pages)
    found = chunks_of(pages, largest=largest, overlap=0, fits=lambda text: len(text) <= most)
    assert "".join("".join(chunk.text for chunk in found).split()) == "".join(text.split())


@given(page_lists, sizes)
def test_a_chunk_is_cited_by_the_pages_that_its_text_stands_on(pages: list[Page], largest: int) -> None:
    text, numbers = joined(pages)
    found = chunks_of(pages, largest=largest, overlap=0)
    for place, chunk in zip(_places(text, found), found, strict=True):
        on = [numbers[place + at] for at, character in enumerate(chunk.text) if not character.isspace()]
        assert (chunk.first_page, chunk.last_page) == (on[0], on[-1])
        assert "".join(text for _, text in chunk.by_page()) == chunk.text
        said = [number for number, text in chunk.by_page() for character in text if not character.isspace()]
        assert said == on


@given(page_lists, sizes, st.integers(0, 30))
def test_ordinals_count_from_zero_and_blank_chunks_are_left_out(pages: list[Page], core: int, overlap: int) -> None:
    found = chunks_of(pages, largest=core + overlap, overlap=overlap)
    assert [chunk.ordinal for chunk in found] == list(range(len(found)))
    assert all(chunk.text.strip() for chunk in found)


@given(st.lists(st.integers(1, 3000), max_size=20))
def test_where_pages_end_within_the_text_moves_no_cut(lengths: list[int]) -> None:
    """Parts of a format without pages end wherever they are full."""
    text = Prose(5).text(30_000)
    pages, start = [], 0
    for length in lengths:
        end = text.find("\n", start + length) + 1 or len(text)
        pages.append(Page(len(pages) + 1, text[start:end]))
        start = end
    pages.append(Page(len(pages) + 1, text[start:]))
    assert [chunk.text for chunk in chunks_of(pages)] == [chunk.text for chunk in chunks_of(text)]


def test_a_chunk_is_of_the_section_that_its_core_begins_in() -> None:
    first, second = "Intake\n" + "The gate is open. " * 20, "Turbine\n" + "The wheel turns fast. " * 20
    page = Page(1, first + second, (Section(0, ("Intake",)), Section(len(first), ("Intake", "Turbine"))))
    found = chunks_of([page], largest=450, overlap=50)
    assert found[0].section == ("Intake",)
    assert found[-1].section == ("Intake", "Turbine")
    assert any(chunk.text.partition("Turbine")[2] and chunk.section == ("Intake", "Turbine") for chunk in found)


def test_a_heading_is_a_better_place_to_cut_than_a_sentence() -> None:
    before, after = "One short sentence stands here. " * 12, "Heading\n" + "Another sentence stands here. " * 12
    page = Page(1, before + after, (Section(len(before), ("Heading",)),))
    assert any(chunk.text.startswith("Heading") for chunk in chunks_of([page], largest=500, overlap=0))


def test_a_page_end_is_a_better_place_to_cut_than_a_sentence() -> None:
    pages = [Page(number, "A plain sentence of this page. " * 20 + f"page {number}") for number in range(1, 6)]
    found = chunks_of(pages, largest=1000, overlap=0)
    assert [(chunk.first_page, chunk.last_page) for chunk in found] == [(number, number) for number in range(1, 6)]


def test_overlap_begins_with_a_sentence_where_there_is_one() -> None:
    found = chunks_of(Prose(3, headings=0).text(40_000))
    assert all(re.match(r"[A-Z]", chunk.text) for chunk in found)


def test_text_without_any_boundary_is_cut_all_the_same() -> None:
    found = chunks_of("x" * 50_000, overlap=0)
    assert "".join(chunk.text for chunk in found) == "x" * 50_000


def test_a_letter_is_not_parted_from_its_marks() -> None:
    found = chunks_of("e\u0301" * 5000, largest=101, overlap=0)
    assert not any(chunk.text.startswith("\u0301") for chunk in found)


def test_an_embedder_that_takes_nothing_is_a_mistake_in_the_configuration() -> None:
    with pytest.raises(Misconfigured):
        chunks_of("text", fits=lambda _: False)


@pytest.mark.invariant("I12")
def test_memory_is_bounded_by_the_window_not_by_the_document() -> None:
    """I12: a page is read when the chunks before it are out, give or take some blocks."""
    handed_out = 0

    def pages() -> Iterator[Page]:
        nonlocal handed_out
        prose = Prose(9, headings=0)
        text = prose.text(3000)
        for number in range(1, 1001):
            handed_out += 1
            yield Page(number, text)

    farthest = max(handed_out - chunk.last_page for chunk in split(pages(), largest=4000, overlap=400, fits=always))
    assert handed_out == 1000
    assert farthest * 3000 < 200_000


@pytest.mark.invariant("I12")
def test_a_text_without_landmarks_is_not_held_in_memory_either() -> None:
    """I12: no line is a better landmark than another, so every cut is forced."""
    handed_out = 0

    def pages() -> Iterator[Page]:
        nonlocal handed_out
        for number in range(1, 1001):
            handed_out += 1
            yield Page(number, "-" * 3000)

    chunks = split(pages(), largest=4000, overlap=400, fits=always)
    assert max(handed_out - chunk.last_page for chunk in chunks) * 3000 < 200_000


_HEADING = re.compile(r"^# (.*)$", re.MULTILINE)

SHAPES = {
    "headings and paragraphs": {},
    "paragraphs alone": {"headings": 0},
    "long paragraphs": {"sentences": (10, 40), "headings": 3},
    "short paragraphs under many headings": {"sentences": (1, 3), "headings": 2},
    "lines as a PDF gives them": {"headings": 0, "wrap": 80, "gap": "\n"},
}


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("shape", SHAPES)
def test_an_edit_makes_few_new_chunks(shape: str, seed: int) -> None:
    """1,000 seeded edits of words, sentences and paragraphs over all shapes and seeds, each of 200,000 characters."""
    prose = Prose(seed, **SHAPES[shape])  # type: ignore[arg-type]
    text = prose.text(200_000)
    known = {chunk.text for chunk in chunks_of([_page(text)])}
    edits = [chunks_of([_page(prose.edited(text))]) for _ in range(100)]
    new = [sum(chunk.text not in known for chunk in chunks) for chunks in edits]
    assert mean(new) <= 2
    assert max(new) <= 8


def _page(text: str) -> Page:
    return Page(1, text, tuple(Section(found.start(), (found[1],)) for found in _HEADING.finditer(text)))


def _places(text: str, chunks: Sequence[Chunk]) -> Iterator[int]:
    """The positions of these chunks, which do not overlap, in the text."""
    start = 0
    for chunk in chunks:
        place = text.index(chunk.text, start)
        yield place
        start = place + len(chunk.text)


def test_where_the_reading_ahead_ends_moves_no_cut() -> None:
    """Text is read ahead in blocks, and blanks at the start shift the blocks."""
    text = Prose(7).text(400_000)
    whole = {chunk.text for chunk in chunks_of([Page(1, text)])}
    for blanks in (1_000, 7_777, 30_001):
        shifted = {chunk.text for chunk in chunks_of([Page(1, " " * blanks + text)])}
        assert len(whole - shifted) <= 1, "only the first chunk may begin with them"


def test_the_worked_example_of_the_splitter_is_true() -> None:
    pages = [Page(1, "aaa. b. ccc d. end", (Section(12, ("Heading",)),))]
    cores = [chunk.text for chunk in split(pages, largest=10, overlap=0, fits=lambda text: True)]
    assert cores == ["aaa. ", "b. ccc ", "d. end"]
