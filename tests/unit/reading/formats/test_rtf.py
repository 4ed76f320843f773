"""RTF: which parts of a file are text of the document, and tables in each other."""

from __future__ import annotations

import pytest

from tests.support.office_files import text_of, warnings_of


def rtf(body: str | bytes, head: str = "") -> bytes:
    return b"{\\rtf1\\ansi " + head.encode() + (body if isinstance(body, bytes) else body.encode("latin-1")) + b"}"


def lines(body: str | bytes, head: str = "") -> list[str]:
    return [line for line in text_of(rtf(body, head)).split("\n") if line]


def test_deleted_text_is_not_read_and_inserted_text_is() -> None:
    body = (
        r"Kept {\deleted\revauthdel1 gone {\b too} }{\revised new }\deleted off\deleted0 on \deleted off \plain end\par"
    )
    assert lines(body) == ["Kept new on end"]


def test_binary_data_is_passed_over_whatever_it_looks_like() -> None:
    data = b"}}{\\par not shown"
    body = rb"Before {\pict\bin%d %s} after.\par" % (len(data), data)
    assert lines(body) == ["Before  after."]
    assert warnings_of(rtf(body)) == []


def test_what_follows_the_document_does_not_belong_to_it() -> None:
    content = rtf(r"The document.\par") + b"\0\x08}garbage{\\par"
    assert text_of(content) == "The document."
    assert warnings_of(content) == []


def test_a_table_in_a_cell_is_read_row_by_row_within_it() -> None:
    body = (
        r"\trowd\pard\intbl Outer\cell\pard\intbl\itap2 Inner a\nestcell Inner b\nestcell"
        r"{\*\nesttableprops\trowd\nestrow}{\nonesttables\par For old programs}"
        r"Inner c\nestcell Inner d\nestcell{\*\nesttableprops\trowd\nestrow}{\nonesttables\par}"
        r"\pard\intbl\itap1 Behind\cell\row\pard\itap0 After.\par"
    )
    assert lines(body) == ["Outer | Inner a | Inner b Inner c | Inner d Behind", "After."]


def test_no_text_is_lost_where_the_ends_of_nested_cells_are_missing() -> None:
    body = r"\trowd\pard\intbl\itap3 Deep\par\pard\intbl\itap1 Cell\cell\pard\intbl\itap2 Left\row\pard After.\par"
    assert sorted(" ".join(lines(body)).replace("|", "").split()) == ["After.", "Cell", "Deep", "Left"]


def test_a_table_in_a_header_keeps_its_cells_apart_and_out_of_the_text() -> None:
    body = r"{\header\trowd\intbl Left\cell Right\cell\row\pard}\pard Text.\par"
    assert lines(body) == ["Left\tRight", "Text."]


def test_items_of_lists_have_the_numbers_that_the_file_says_and_no_bullets() -> None:
    body = (
        r"{\listtext\tab 1.\tab}One\par{\listtext\'b7\tab}Bullet\par{\listtext o\tab}Circle\par"
        r"{\pntext 2)\tab}Two\par{\list{\leveltext\'02\'00.}{\listname Name;}}"
    )
    assert lines(body) == ["1. One", "Bullet", "Circle", "2) Two"]


def test_a_shape_is_read_once() -> None:
    body = r"{\shp{\*\shpinst{\shptxt In the box\par}}{\shprslt In the box, for old programs\par}}After.\par"
    assert lines(body) == ["In the box", "After."]


def test_a_character_of_two_bytes_may_be_broken_over_lines_of_the_file() -> None:
    assert lines("{\\f0 \\'83\n\\'65\\'83\r\nX}\\par", r"{\fonttbl{\f0\fcharset128 Gothic;}}") == ["テス"]


@pytest.mark.parametrize("body", [r"\'cf\'f0\par", r"\f1 \plain\'cf\'f0\par"])
def test_text_without_a_font_has_the_code_page_of_the_default_one(body: str) -> None:
    assert lines(body, r"\deff0{\fonttbl{\f0\fcharset204 Arial;}{\f1\fcharset0 Arial;}}") == ["Пр"]


@pytest.mark.parametrize(("word", "text"), [("mac", "é"), ("pc", "Ä"), ("pca", "Ä")])
def test_code_pages_of_old_systems_are_known(word: str, text: str) -> None:
    assert lines(r"\'8e\par", f"\\{word} ") == [text]
