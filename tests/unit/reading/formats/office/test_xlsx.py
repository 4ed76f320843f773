"""XLSX: cells as they are shown."""

from __future__ import annotations

import io

import pytest

from penstock.domain.errors import Unreadable, UnsupportedType
from penstock.reading.protocol import Text
from tests.support.office_files import frames, text_of, xlsx
from tests.support.sample_files import zip_of


def cell(value: str, kind: str = "n", style: int = 0) -> str:
    return f'<c t="{kind}" s="{style}"><v>{value}</v></c>'


def shown(value: str, code: str = "General") -> str:
    """The text of a cell with this number in this format."""
    styles = f'<numFmts><numFmt numFmtId="200" formatCode="{code}"/></numFmts><cellXfs><xf numFmtId="200"/></cellXfs>'
    return text_of(xlsx(f"<row>{cell(value)}</row>", styles=styles)).split("\n")[-1]


@pytest.mark.parametrize(
    ("value", "code", "text"),
    [
        ("45000", "dd/mm/yyyy", "2023-03-15"),
        ("45000.5", "dd/mm/yyyy", "2023-03-15"),
        ("45000.5", "yyyy-mm-dd hh:mm", "2023-03-15 12:00:00"),
        ("45000.5", "h:mm AM/PM", "12:00:00"),
        ("0.25", "hh:mm", "06:00:00"),
        ("45000", "mmm", "2023-03-15"),
        ("1.5", "[h]:mm", "36:00:00"),
        ("-0.5", "[hh]:mm:ss", "-12:00:00"),
        ("0.125", "0.0%", "12.5%"),
        ("1234", "00000", "01234"),
        ("1234567890123456", "General", "1234567890123456"),
        ("1.23456789012345E15", "General", "1234567890123450"),
        ("1.5E300", "General", "1.5e+300"),
        ("0.1000000000000000055", "General", "0.1"),
        ("3.0", '#,##0 "days"', "3"),
    ],
)
def test_numbers_are_shown_as_their_format_says(value: str, code: str, text: str) -> None:
    assert shown(value, code.replace('"', "&quot;")) == text


def test_a_cell_of_several_lines_stays_in_its_row() -> None:
    rows = '<row><c t="inlineStr"><is><t>first\nsecond_x000D_\nthird</t></is></c>' + cell("a\nb", "str") + "</row>"
    assert text_of(xlsx(rows)).split("\n")[-1] == "first second third | a b"


def test_an_escaped_character_is_the_character() -> None:
    assert text_of(xlsx(f"<row>{cell('a_x0041_b _xyz_', 'str')}</row>")).split("\n")[-1] == "aAb _xyz_"


def test_a_thread_of_comments_is_told_once() -> None:
    """Excel repeats the thread, with advice, for programs that do not know threads."""
    old = (
        "<comments><authors><author>tc={1}</author><author>Ann</author></authors><commentList>"
        '<comment authorId="0"><text><t>[Threaded comment] Your version of Excel … A question.</t></text></comment>'
        '<comment authorId="1"><text><r><t>A </t></r><r><t>note.</t></r></text></comment></commentList></comments>'
    )
    new = (
        "<ThreadedComments><threadedComment><text>A question.</text></threadedComment>"
        "<threadedComment><text>An answer.</text></threadedComment></ThreadedComments>"
    )
    related = {"xl/comments1.xml": ("comments", old), "xl/threads1.xml": ("threadedComment", new)}
    text = text_of(xlsx(f"<row>{cell('1')}</row>", related))
    assert [line for line in text.split("\n") if line] == ["One", "1", "A note.", "A question.", "An answer."]
    assert "Your version" in text_of(xlsx("", {"xl/comments1.xml": ("comments", old)}))


def test_what_is_drawn_for_programs_that_know_no_better_is_left_out() -> None:
    drawing = (
        '<x:wsDr xmlns:x="x" xmlns:a="a" xmlns:mc="mc"><mc:AlternateContent><mc:Choice><a:p><a:t>A slicer</a:t></a:p>'
        "</mc:Choice><mc:Fallback><a:p><a:t>This shape represents a slicer.</a:t></a:p></mc:Fallback>"
        "</mc:AlternateContent></x:wsDr>"
    )
    assert text_of(xlsx("", {"xl/drawings/1.xml": ("drawing", drawing)})).split() == ["One", "A", "slicer"]


def test_names_with_the_slashes_of_windows_lead_to_the_parts() -> None:
    import zipfile

    with zipfile.ZipFile(io.BytesIO(xlsx(f"<row>{cell('17')}</row>"))) as archive:
        members: dict[str, str | bytes] = {name.replace("/", "\\"): archive.read(name) for name in archive.namelist()}
    assert text_of(zip_of(members)).split() == ["One", "17"]


def test_a_binary_workbook_is_refused_by_its_name() -> None:
    with pytest.raises(UnsupportedType, match=r"a binary workbook \(XLSB\)"):
        frames(zip_of({"[Content_Types].xml": "<Types/>", "xl/workbook.bin": b"\x83\x01\0"}), "figures.xlsx")


@pytest.mark.parametrize("book", [b"<workbook><sheets>", b"<workbook/>"])
def test_sheets_are_read_by_their_numbers_where_the_list_of_them_is_damaged(book: bytes) -> None:
    sheets = {
        f"xl/worksheets/sheet{each}.xml": f"<worksheet><row>{cell(str(each))}</row></worksheet>" for each in (10, 9)
    }
    content = zip_of({"xl/workbook.xml": book, **sheets})
    assert text_of(content).split() == ["sheet9", "9", "sheet10", "10"]


def test_a_workbook_that_is_cut_short_before_the_list_of_its_sheets_gives_those_that_are_there() -> None:
    sheet = f"<worksheet><row>{cell('0', 's')}</row></worksheet>"
    strings = "<sst><si><t>shared</t></si></sst>"
    content = zip_of(
        {"xl/sharedStrings.xml": strings, "xl/worksheets/sheet1.xml": sheet, "xl/workbook.xml": "<workbook/>"}
    )
    first, cut = (frame for frame in frames(content[: content.index(b"xl/workbook.xml")]) if isinstance(frame, Text))
    assert first.text.split() == ["sheet1", "shared"]
    assert cut.problem is not None


def test_a_document_that_is_cut_short_before_its_text_is_not_taken_for_one_of_another_kind() -> None:
    content = zip_of({"[Content_Types].xml": "<Types/>", "docProps/app.xml": "<x/>", "xl/workbook.xml": "<workbook/>"})
    with pytest.raises(Unreadable, match="cut short"):
        frames(content[: content.index(b"xl/workbook.xml")], "figures.xlsx")


def test_a_package_of_another_kind_is_no_archive_of_documents() -> None:
    with pytest.raises(UnsupportedType, match="an Office package without a text, a presentation or a workbook"):
        frames(zip_of({"[Content_Types].xml": "<Types/>", "theme/theme1.xml": "<theme/>"}), "theme.docx")
