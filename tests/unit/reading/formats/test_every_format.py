"""Every format: all words of a file are read, in their order, and nothing else is."""

from __future__ import annotations

import re
from collections import Counter
from difflib import SequenceMatcher

import pytest

from penstock.reading.kinds import KINDS, media_type_of
from penstock.reading.protocol import Opened, Read, Text
from penstock.reading.registry import formats
from tests.support.direct_reading import reading
from tests.support.sample_files import (
    MAKERS,
    SampleFile,
    docx_file,
    eml_file,
    html_file,
    odt_file,
    pptx_file,
    rtf_file,
    xlsx_file,
    zip_of,
)

ENOUGH = 0.99


def frames(made: SampleFile) -> list[Read]:
    return reading(made.content, made.name).frames


def texts(made: SampleFile) -> list[Text]:
    return reading(made.content, made.name).texts


def warnings(made: SampleFile) -> list[str]:
    return reading(made.content, made.name).warnings


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text)


def f1(expected: list[str], found: list[str]) -> float:
    common = sum((Counter(expected) & Counter(found)).values())
    return 2 * common / (len(expected) + len(found))


def sections(made: SampleFile) -> set[tuple[str, ...]]:
    return {path for text in texts(made) for _, path in text.sections}


@pytest.mark.parametrize("kind", MAKERS)
def test_all_that_a_file_says_comes_out_and_in_its_order(kind: str) -> None:
    made = MAKERS[kind]()
    found = texts(made)
    expected, read = words(made.text), words("\n".join(text.text for text in found))
    assert all(text.problem is None for text in found)
    assert warnings(made) == []
    assert f1(expected, read) >= ENOUGH
    assert SequenceMatcher(None, expected, read, autojunk=False).ratio() >= ENOUGH


@pytest.mark.parametrize("kind", MAKERS)
def test_a_file_is_known_by_its_content_or_its_name(kind: str) -> None:
    made = MAKERS[kind]()
    opened = frames(made)[0]
    assert isinstance(opened, Opened)
    assert opened.kind == {"tsv": "csv", "jsonl": "json"}.get(kind, kind)
    assert media_type_of(made.name) is not None


@pytest.mark.parametrize("kind", ["pdf", "docx", "pptx", "xlsx", "html", "epub", "eml", "odt", "rtf", "xml", "zip"])
def test_content_decides_against_the_name_with_a_warning(kind: str) -> None:
    made = MAKERS[kind]()
    misnamed = SampleFile("wrong.txt", made.content, made.text)
    opened = frames(misnamed)[0]
    assert isinstance(opened, Opened)
    assert opened.kind == kind
    (warning,) = warnings(misnamed)
    assert warning.startswith("The name ends in .txt, but the content is ")


@pytest.mark.parametrize("make", [docx_file, html_file, odt_file, rtf_file])
def test_headings_are_section_paths(make: object) -> None:
    made = make()  # type: ignore[operator]
    assert {path[0].partition(" ")[0] for path in sections(made)} == {"Section"}
    assert len(sections(made)) == 6


@pytest.mark.parametrize("make", [pptx_file, xlsx_file])
def test_slides_and_sheets_are_pages(make: object) -> None:
    made = make()  # type: ignore[operator]
    found = frames(made)
    opened = found[0]
    assert isinstance(opened, Opened)
    assert opened.paged
    assert opened.pages == 6
    assert [text.number for text in texts(made)] == [1, 2, 3, 4, 5, 6]


def test_what_is_attached_is_cited_by_its_name() -> None:
    assert {path[0] for path in sections(eml_file())} == {"figures.csv", "Forwarded.eml"}


def test_a_long_sheet_comes_in_several_parts_under_one_number() -> None:
    import io

    import openpyxl

    book = openpyxl.Workbook()
    for number in range(30_000):
        book.active.append([f"row {number}", "with some words in it"])
    buffer = io.BytesIO()
    book.save(buffer)
    found = texts(SampleFile("long.xlsx", buffer.getvalue(), ""))
    assert len(found) > 3
    assert {text.number for text in found} == {1}
    assert "row 29999" in found[-1].text


def test_a_document_whose_styles_are_damaged_is_read_all_the_same() -> None:
    import io
    import zipfile

    made = docx_file()
    with zipfile.ZipFile(io.BytesIO(made.content)) as archive:
        members: dict[str, str | bytes] = {name: archive.read(name) for name in archive.namelist()}
    styles = members["word/styles.xml"]
    damaged = SampleFile("a.docx", zip_of(members | {"word/styles.xml": styles[: len(styles) // 2]}), "")
    assert "The last paragraph." in "".join(text.text for text in texts(damaged))
    assert warnings(damaged) == ["Its part word/styles.xml is damaged; what could be read of it was."]


def test_a_document_that_is_damaged_in_the_midst_gives_what_is_before_and_says_so() -> None:
    import io
    import zipfile

    made = docx_file()
    with zipfile.ZipFile(io.BytesIO(made.content)) as archive:
        members: dict[str, str | bytes] = {name: archive.read(name) for name in archive.namelist()}
    text = members["word/document.xml"]
    found = texts(SampleFile("a.docx", zip_of(members | {"word/document.xml": text[: len(text) // 2]}), ""))
    assert "Section 1" in found[0].text
    assert found[-1].problem is not None
    assert "damaged" in found[-1].problem


def test_macros_are_named_and_not_run() -> None:
    import io
    import zipfile

    made = docx_file()
    with zipfile.ZipFile(io.BytesIO(made.content)) as archive:
        members: dict[str, str | bytes] = {name: archive.read(name) for name in archive.namelist()}
    with_macros = SampleFile("a.docm", zip_of(members | {"word/vbaProject.bin": b"Sub AutoOpen()"}), "")
    assert warnings(with_macros) == ["It has macros; they were neither read nor run."]


def test_what_is_accepted_is_what_is_read() -> None:
    assert tuple(each.kind for each in formats()) == KINDS
