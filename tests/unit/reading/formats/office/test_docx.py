"""DOCX: what Word shows although the file only implies it."""

from __future__ import annotations

import pytest

from penstock.reading.protocol import Text
from tests.support.office_files import docx, frames, p, sections_of, text_of, warnings_of


def level(place: int, text: str, *, form: str = "decimal", start: int = 1, more: str = "") -> str:
    properties = f'<w:start w:val="{start}"/><w:numFmt w:val="{form}"/><w:lvlText w:val="{text}"/>'
    return f'<w:lvl w:ilvl="{place}">{properties}{more}</w:lvl>'


def numbering(*levels: str, lists: str = "") -> dict[str, tuple[str, str]]:
    """The part that says how lists are counted. Lists 1 and 2 share one scheme, and `lists` adds more."""
    schemes = f'<w:abstractNum w:abstractNumId="7">{"".join(levels)}</w:abstractNum>'
    known = "".join(f'<w:num w:numId="{each}"><w:abstractNumId w:val="7"/></w:num>' for each in (1, 2))
    return {"word/numbering.xml": ("numbering", f'<w:numbering xmlns:w="w">{schemes}{known}{lists}</w:numbering>')}


def item(text: str, place: int = 0, counted: int = 1) -> str:
    return p(text, f'<w:numPr><w:ilvl w:val="{place}"/><w:numId w:val="{counted}"/></w:numPr>')


def test_items_of_lists_have_the_numbers_that_word_shows() -> None:
    items = [item("one"), item("deep", 1), item("deeper", 1), item("two"), item("deep", 1), item("three", 0, 2)]
    content = docx("".join(items), numbering(level(0, "%1."), level(1, "%1.%2)", form="lowerLetter")))
    assert text_of(content).split("\n\n") == ["1. one", "1.a) deep", "1.b) deeper", "2. two", "2.a) deep", "3. three"]


@pytest.mark.parametrize(
    ("form", "start", "shown"),
    [
        ("lowerLetter", 28, "bb"),
        ("upperLetter", 3, "C"),
        ("lowerRoman", 1994, "mcmxciv"),
        ("upperRoman", 4, "IV"),
        ("decimalZero", 5, "05"),
        ("chineseCounting", 6, "6"),
        ("lowerLetter", 999_999_999, "999999999"),
    ],
)
def test_numbers_are_written_in_letters_where_word_does(form: str, start: int, shown: str) -> None:
    assert text_of(docx(item("item"), numbering(level(0, "(%1)", form=form, start=start)))) == f"({shown}) item"


def test_bullets_are_left_out() -> None:
    assert text_of(docx(item("item"), numbering(level(0, "\uf0b7", form="bullet")))) == "item"


def test_a_list_may_start_at_another_number_and_count_in_another_way() -> None:
    restarted = '<w:num w:numId="3"><w:abstractNumId w:val="7"/><w:lvlOverride w:ilvl="0"><w:startOverride w:val="5"/>'
    restarted += f"{level(0, '%1/', form='upperLetter')}</w:lvlOverride></w:num>"
    content = docx(item("one") + item("five", 0, 3) + item("six", 0, 3), numbering(level(0, "%1."), lists=restarted))
    assert text_of(content).split("\n\n") == ["1. one", "E/ five", "F/ six"]


def test_deleted_items_are_neither_read_nor_counted() -> None:
    counted = '<w:pPr><w:numPr><w:ilvl w:val="0"/><w:numId w:val="1"/></w:numPr></w:pPr>'
    deleted = f"<w:p>{counted}<w:del><w:r><w:delText>gone</w:delText></w:r></w:del></w:p>"
    empty = f"<w:p>{counted}</w:p>"
    content = docx(item("one") + deleted + item("two") + empty + item("four"), numbering(level(0, "%1.")))
    assert text_of(content).split("\n\n") == ["1. one", "2. two", "4. four"]


def test_headings_are_numbered_by_their_styles() -> None:
    styles = (
        '<w:style w:styleId="H1"><w:name w:val="heading 1"/><w:numPr><w:numId w:val="1"/></w:numPr></w:style>'
        '<w:style w:styleId="H2"><w:name w:val="heading 2"/><w:basedOn w:val="H1"/>'
        '<w:numPr><w:ilvl w:val="1"/></w:numPr></w:style>'
    )
    body = p("Scope", '<w:pStyle w:val="H1"/>') + p("Terms", '<w:pStyle w:val="H2"/>')
    body += p("Plain", '<w:pStyle w:val="H2"/><w:numPr><w:numId w:val="0"/></w:numPr>')
    parts = numbering(level(0, "§ %1", more='<w:pStyle w:val="H1"/>'), level(1, "%1.%2"))
    content = docx(body, {**parts, "word/styles.xml": ("styles", f'<w:styles xmlns:w="w">{styles}</w:styles>')})
    assert sections_of(content) == [("§ 1 Scope",), ("§ 1 Scope", "1.1 Terms"), ("§ 1 Scope", "Plain")]


def test_a_subtitle_is_no_heading_though_it_is_based_on_the_title() -> None:
    styles = (
        '<w:style w:styleId="T"><w:name w:val="Title"/></w:style>'
        '<w:style w:styleId="S"><w:name w:val="Subtitle"/><w:basedOn w:val="T"/></w:style>'
    )
    body = p("The title", '<w:pStyle w:val="T"/>') + p("By somebody", '<w:pStyle w:val="S"/>')
    content = docx(body, {"word/styles.xml": ("styles", f'<w:styles xmlns:w="w">{styles}</w:styles>')})
    assert sections_of(content) == [("The title",)]


def test_a_large_first_letter_belongs_to_its_word() -> None:
    assert text_of(docx(p("W", '<w:framePr w:dropCap="drop"/>') + p("ater falls."))) == "Water falls."


@pytest.mark.parametrize(
    ("kind", "shown"),
    [("chart", '<c:chart r:id="word/drawn.xml"/>'), ("diagramData", '<d:relIds r:dm="word/drawn.xml"/>')],
)
def test_charts_and_diagrams_stand_where_they_are_shown_and_once(kind: str, shown: str) -> None:
    drawn = '<x:x xmlns:x="x" xmlns:a="a"><a:p><a:t>Label</a:t></a:p></x:x>'
    frame = f'<w:p xmlns:c="c" xmlns:d="d"><w:r><w:t>Figure</w:t><w:drawing>{shown}</w:drawing></w:r></w:p>'
    content = docx(p("Before") + frame + p("After"), {"word/drawn.xml": (kind, drawn)})
    assert text_of(content).split() == ["Before", "Figure", "Label", "After"]


def test_a_document_within_is_read_where_word_shows_it() -> None:
    page = "<html><body><p>From a page.</p><table><tr><td>a</td><td>b</td></tr></table></body></html>"
    body = p("Before.") + '<w:altChunk r:id="word/chunk.html"/>' + p("After.")
    content = docx(body, {"word/chunk.html": ("aFChunk", page)})
    assert text_of(content).split() == ["Before.", "From", "a", "page.", "a", "|", "b", "After."]


def test_a_document_within_that_is_missing_costs_only_itself() -> None:
    content = docx(
        p("Before.") + '<w:altChunk r:id="word/chunk.html"/>' + p("After."), {"word/chunk.html": ("aFChunk", "")}
    )
    content = content.replace(b"word/chunk.html", b"word/other.html", 1)
    assert text_of(content).split() == ["Before.", "After."]
    assert len(warnings_of(content)) > 0


def test_a_row_that_is_cut_short_gives_the_cells_that_are_there() -> None:
    inner = f"<w:tbl><w:tr><w:tc>{p('inner a')}</w:tc><w:tc>{p('inner b')}"
    content = docx(f"<w:tbl><w:tr><w:tc>{p('a')}</w:tc><w:tc>{p('b')}{inner}<w:cut")
    first, cut = (frame for frame in frames(content) if isinstance(frame, Text))
    assert first.text == "a | b inner a | inner b\n"
    assert cut.problem is not None


def test_cells_without_a_table_are_paragraphs() -> None:
    body = f"<w:tc>{p('a')}<w:tc>{p('b')}</w:tc></w:tc>"
    body += f"<w:tbl><w:tr><w:tc>{p('c')}<w:tc>{p('d')}</w:tc></w:tc></w:tr></w:tbl>"
    assert text_of(docx(body)).split() == ["a", "b", "c", "d"]


def test_numbers_that_are_none_are_taken_for_none() -> None:
    properties = f'<w:outlineLvl w:val="{"9" * 5000}"/><w:numPr><w:ilvl w:val="²"/><w:numId w:val="1"/></w:numPr>'
    assert text_of(docx(p("item", properties), numbering(level(0, "%1.")))) == "1. item"


def test_files_of_other_programs_in_it_are_named() -> None:
    drawing = {"word/embeddings/oleObject1.bin": ("oleObject", "VISIO"), "word/embeddings/a.xlsx": ("package", "PK")}
    assert warnings_of(docx(p("See below."), drawing)) == [
        "Files of other programs in it were not read: 2 (a.xlsx, oleObject1.bin)."
    ]
