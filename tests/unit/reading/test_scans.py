"""Pages without text, shown to a recognizer as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from penstock.domain.chunk import Page
from penstock.domain.errors import Refused
from penstock.ports import Picture
from penstock.reading.limits import ReadLimits
from penstock.reading.sandbox.reader import ChildReader
from tests.support.pdf_files import pdf, raw_pdf, scanned_pdf
from tests.support.sample_files import zip_of


class FakeRecognizer:
    """Finds the same text in each picture, or fails."""

    def __init__(self, text: str = "Recognized.", fail: Exception | None = None) -> None:
        self.seen: list[Picture] = []
        self._text, self._fail = text, fail

    def recognize(self, picture: Picture) -> str:
        self.seen.append(picture)
        if self._fail is not None:
            raise self._fail
        return self._text


def read(
    folder: Path, content: bytes, recognizer: FakeRecognizer | None, name: str = "a.pdf"
) -> tuple[list[Page], Sequence[str]]:
    path = folder / name
    path.write_bytes(content)
    with ChildReader(ReadLimits(seconds=60), recognizer).read(path, name=name, declared=None) as reading:
        return list(reading), list(reading.warnings)


def test_without_a_recognizer_pages_without_text_come_without_text(tmp_path: Path) -> None:
    pages, warnings = read(tmp_path, scanned_pdf(2), None)
    assert [(page.text, page.problem) for page in pages] == [("", None)] * 2
    assert warnings == []


def test_only_pages_without_text_are_shown_and_the_receipt_names_them(tmp_path: Path) -> None:
    recognizer = FakeRecognizer()
    pages, warnings = read(tmp_path, pdf(["First.", "", "Third."]), recognizer)
    assert [page.text for page in pages] == ["First.", "Recognized.", "Third."]
    assert warnings == ["The text of page 2 was recognized in its picture."]
    (picture,) = recognizer.seen
    assert len(picture.pixels) == picture.width * picture.height
    assert abs(picture.width / picture.height - 595 / 842) < 0.01


def test_a_page_whose_font_does_not_tell_its_characters_is_shown(tmp_path: Path) -> None:
    content = raw_pdf(b"BT /F1 12 Tf 72 700 Td <0102030405> Tj ( A) Tj ET")
    pages, warnings = read(tmp_path, content, FakeRecognizer())
    assert [page.text for page in pages] == ["Recognized."]
    assert warnings[0] == "Page 1 has text in a font that does not tell which characters it shows."
    pages, _ = read(tmp_path, content, None)
    assert [page.text for page in pages] == ["A"]


def test_what_was_written_on_a_scan_is_read_beside_it(tmp_path: Path) -> None:
    note = b"<< /Type /Annot /Subtype /Text /Rect [9 9 99 99] /Contents (The seal leaks.) >>"
    content = raw_pdf(b"1 1 9 9 re f", more=[note], of_page="/Annots [7 0 R]", pages=2)
    pages, _ = read(tmp_path, content, FakeRecognizer())
    assert [(page.number, page.text) for page in pages] == [
        (1, "Recognized."),
        (1, "The seal leaks."),
        (2, "Recognized."),
        (2, "The seal leaks."),
    ]


def test_a_page_in_which_nothing_is_recognized_stays_without_text(tmp_path: Path) -> None:
    pages, warnings = read(tmp_path, scanned_pdf(1), FakeRecognizer(" \n"))
    assert [(page.text, page.problem) for page in pages] == [("", None)]
    assert warnings == []


def test_a_recognizer_that_refuses_a_picture_costs_that_page(tmp_path: Path) -> None:
    refusal = Refused(service="Textract", why="the picture is too dark")
    pages, _ = read(tmp_path, scanned_pdf(1), FakeRecognizer(fail=refusal))
    assert "too dark" in (pages[0].problem or "")


def test_a_page_of_a_hundred_metres_is_shown_as_a_picture_of_bounded_size(tmp_path: Path) -> None:
    recognizer = FakeRecognizer()
    content = raw_pdf(b"0 0 10 10 re f", resources="<< >>").replace(b"[0 0 595 842]", b"[0 0 99999 99999]")
    read(tmp_path, content, recognizer)
    assert 1_000_000 < len(recognizer.seen[0].pixels) <= 12_100_000


def test_scans_within_an_archive_are_shown_too(tmp_path: Path) -> None:
    content = zip_of({"scan.pdf": scanned_pdf(1), "notes.txt": "Notes."})
    pages, _ = read(tmp_path, content, FakeRecognizer(), "papers.zip")
    assert sorted(page.text for page in pages) == ["Notes.", "Recognized."]


@pytest.mark.invariant("I11")
@pytest.mark.parametrize("pixels", ["AAAA", "not base64", ""])
def test_a_picture_that_makes_no_sense_is_not_passed_on(pixels: str) -> None:
    """I11: the child that sent it may have been taken over by its file."""
    from penstock.domain.errors import ReaderDied
    from penstock.reading.protocol import Scan
    from penstock.reading.sandbox.child_reading import ChildReading

    recognizer = FakeRecognizer()
    reading = ChildReading(None, recognizer)  # type: ignore[arg-type]
    with pytest.raises(ReaderDied):
        reading._recognized(Scan(1, 10, 10, pixels))
    assert recognizer.seen == []
