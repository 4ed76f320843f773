"""PDFs: true pages, the second opinion, and damage that costs only what is damaged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from penstock.errors import PasswordRequired, Unreadable
from penstock.extract import pdf as module
from penstock.extract.frames import Opened, Read, Text, Warned
from penstock.extract.source import Source
from tests.documents import pdf, raw_pdf, scanned_pdf
from tests.prose import Prose


def frames(folder: Path, content: bytes) -> list[Read]:
    path = folder / "a.pdf"
    path.write_bytes(content)
    return list(module.read(Source(path)))


def texts(found: list[Read]) -> list[tuple[int, str]]:
    return [(frame.number, frame.text) for frame in found if isinstance(frame, Text)]


def test_each_page_has_its_number_and_its_text(tmp_path: Path) -> None:
    found = frames(tmp_path, pdf(["First page.\nTwo lines.", "Second page.", "Third page."]))
    assert found[0] == Opened("pdf", "pypdfium2", paged=True, pages=3, seeks=True)
    assert texts(found) == [(1, "First page.\nTwo lines."), (2, "Second page."), (3, "Third page.")]


def test_blank_pages_keep_their_numbers(tmp_path: Path) -> None:
    assert texts(frames(tmp_path, pdf(["", "Text.", ""]))) == [(1, ""), (2, "Text."), (3, "")]


def test_a_document_without_text_is_no_error(tmp_path: Path) -> None:
    found = frames(tmp_path, scanned_pdf(2))
    assert found[0] == Opened("pdf", "pypdfium2", paged=True, pages=2, seeks=True)
    assert texts(found) == [(1, ""), (2, "")]


def test_an_empty_user_password_opens(tmp_path: Path) -> None:
    assert texts(frames(tmp_path, pdf(["For everyone."], password=""))) == [(1, "For everyone.")]


def test_any_other_password_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(PasswordRequired):
        frames(tmp_path, pdf(["For some."], password="secret"))


@pytest.mark.parametrize("content", [b"%PDF-1.7\n", b"%PDF-1.7\n" + bytes(range(256)) * 20, pdf(["text"])[:700]])
def test_a_file_that_neither_library_opens_says_what_both_said(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(Unreadable) as told:
        frames(tmp_path, content)
    assert "pypdfium2 says" in str(told.value)
    assert "pypdf says" in str(told.value)
    assert "Traceback" not in str(told.value)


def test_a_file_that_is_cut_short_gives_the_pages_that_are_whole_and_says_that_others_may_be_missing(
    tmp_path: Path,
) -> None:
    """Writers put the list of pages at the end, so it is the first thing that is lost."""
    content = pdf(f"Page {number} {Prose(number, headings=0).text(1500)}" for number in range(1, 11))
    found = [frame for frame in frames(tmp_path, content[: len(content) // 2]) if isinstance(frame, Text)]
    whole = [frame for frame in found if frame.text]
    assert len(whole) >= 4
    assert [frame.text.split()[1] for frame in whole] == [str(frame.number) for frame in whole]
    assert found[-1].problem == "the file is cut short or damaged; pages behind this may be missing"


def test_a_document_without_pages_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="no pages"):
        frames(tmp_path, raw_pdf(b"", pages=0))


def test_a_page_that_cannot_be_read_costs_that_page_alone(tmp_path: Path) -> None:
    content = raw_pdf(b"BT /F1 12 Tf 72 700 Td (Still here) Tj ET", pages=3, kids="4 0 R 99 0 R 4 0 R")
    found = [frame for frame in frames(tmp_path, content) if isinstance(frame, Text)]
    assert [(frame.number, frame.text, frame.problem is None) for frame in found] == [
        (1, "Still here", True),
        (2, "", False),
        (3, "Still here", True),
    ]


def test_where_no_page_can_be_read_the_file_cannot(tmp_path: Path) -> None:
    with pytest.raises(Unreadable):
        frames(tmp_path, raw_pdf(b"", pages=2, kids="98 0 R 99 0 R"))


def test_text_of_unknown_characters_is_shown_as_such(tmp_path: Path) -> None:
    """Better than to pass for a page without text, but never in the midst of text that is known."""
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf([""]))
    with module.SecondOpinion(Source(path)) as second:
        found = list(module.frames(_Engine(["\x04\x05\x00", "a\x04b\ufffec", " \r\n"]), second))
    assert texts(found) == [(1, "\ufffd\ufffd\ufffd"), (2, "abc"), (3, "")]
    assert found[0] == Warned("Page 1 has text in a font that does not tell which characters it shows.")


class _Engine:
    """pdfium, as it is to a document of which it makes just this. An error is raised."""

    name = "pypdfium2"

    def __init__(self, texts: Sequence[str | Exception]) -> None:
        self._texts, self.pages = texts, len(texts)

    def text(self, index: int) -> str:
        found = self._texts[index]
        if isinstance(found, Exception):
            raise found
        return found


def test_a_page_that_pdfium_cannot_read_is_read_by_pypdf(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf(["One.", "Two."]))
    with module.SecondOpinion(Source(path)) as second:
        found = list(module.frames(_Engine([ValueError("broken")] * 2), second))
    assert texts(found) == [(1, "One."), (2, "Two.")]
    assert Warned("Page 1 was read by pypdf, as pypdfium2 could not (broken).") in found


def test_fonts_without_text_call_for_the_second_opinion(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf(["One.", "Two."]))
    with module.SecondOpinion(Source(path)) as second:
        engine, found = module.best_reading(_Engine(["", ""]), second)
        assert engine.name == "pypdf"
        assert texts(list(found)) == [(1, "One."), (2, "Two.")]


def test_a_scan_needs_no_second_opinion(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(scanned_pdf(2))
    with module.SecondOpinion(Source(path)) as second:
        assert not second.may_find_text()


_TEXT = b"BT /F1 12 Tf 9 9 Td (Text.) Tj ET"


@pytest.mark.parametrize(
    ("page", "form", "asked"),
    [
        (b"1 1 9 9 re f", b"2 2 9 9 re f", False),
        (b"1 1 9 9 re f /Form Do", b"2 2 9 9 re f", False),
        (_TEXT.replace(b"Tj", b"'"), b"", True),
        (b"BT /F1 12 Tf 9 9 Td [(Te) 3 (xt.)] TJ ET", b"", True),
        (b'BT /F1 12 Tf 1 1 (Text.) " ET', b"", True),
        (b"/Form Do", _TEXT, True),
        (b"/Form Do", b"/Inner Do", True),
    ],
    ids=["a drawing", "with a form", "'", "TJ", '"', "text in a form", "a form in a form"],
)
def test_a_second_opinion_is_asked_for_where_an_operator_shows_text(page: bytes, form: bytes, asked: bool) -> None:
    """All four that do, on the page or in a form that is drawn on it; where fonts are named, as they are here."""
    drawn = b"<< /Type /XObject /Subtype /Form /BBox [0 0 99 99] /Length %d >>\nstream\n%s\nendstream"
    resources = "<< /Font << /F1 3 0 R >> /XObject << /Form 7 0 R >> >>"
    content = raw_pdf(page, resources=resources, more=[drawn % (len(form), form)])
    with module.SecondOpinion(Source(content)) as second:
        assert second.may_find_text() is asked


def test_what_cannot_be_looked_into_may_hold_text() -> None:
    content = raw_pdf(b"packed in some way", filters="/Filter /NoSuchFilter")
    with module.SecondOpinion(Source(content)) as second:
        assert second.may_find_text()


def test_bookmarks_are_sections_from_where_their_titles_stand(tmp_path: Path) -> None:
    from io import BytesIO

    from reportlab.pdfgen.canvas import Canvas

    buffer = BytesIO()
    canvas = Canvas(buffer)
    for number, (level, title) in enumerate([(0, "Intake"), (1, "Gates"), (0, "Turbine")]):
        canvas.drawString(60, 780, "Before it.")
        canvas.drawString(60, 760, title)
        canvas.bookmarkPage(str(number))
        canvas.addOutlineEntry(title, str(number), level)
        canvas.showPage()
    canvas.drawString(60, 780, "The last page.")
    canvas.save()
    found = [frame for frame in frames(tmp_path, buffer.getvalue()) if isinstance(frame, Text)]
    place = found[0].text.find("Intake")
    assert place > 0
    assert [frame.sections for frame in found] == [
        ((place, ("Intake",)),),
        ((0, ("Intake",)), (place, ("Intake", "Gates"))),
        ((0, ("Intake", "Gates")), (place, ("Turbine",))),
        ((0, ("Turbine",)),),
    ]
    path = tmp_path / "a.pdf"
    later = [frame for frame in module.read(Source(path), 3) if isinstance(frame, Text)]
    assert later == found[2:], "the same when reading begins at a later page"
