"""The promises of every Reader."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from penstock.domain.chunk import Page
from penstock.domain.errors import EmptyFile, Permanent, Unreadable
from penstock.ports import Reader, Reading
from penstock.reading.limits import ReadLimits
from penstock.reading.sandbox.reader import ChildReader
from tests.support.fakes.reader import FakeReader
from tests.support.pdf_files import pdf

TEXT = "The weir was opened in spring.\n\nThe sluice was closed in autumn.\n"


@pytest.fixture(params=["child", "fake"])
def reader(request: pytest.FixtureRequest) -> Reader:
    return ChildReader(ReadLimits(seconds=60)) if request.param == "child" else FakeReader()


@contextmanager
def reading(reader: Reader, folder: Path, content: bytes, name: str = "notes.txt") -> Iterator[Reading]:
    path = folder / "original"
    path.write_bytes(content)
    with reader.read(path, name=name, declared="text/plain") as found:
        yield found


def test_the_text_of_a_file_comes_whole_and_its_pages_count_from_one(reader: Reader, tmp_path: Path) -> None:
    with reading(reader, tmp_path, TEXT.encode()) as found:
        pages = list(found)
    assert "".join(page.text for page in pages) == TEXT
    assert [page.number for page in pages] == list(range(1, len(pages) + 1))
    assert all(page.problem is None for page in pages)


def test_the_facts_are_true_once_reading_has_started(reader: Reader, tmp_path: Path) -> None:
    with reading(reader, tmp_path, TEXT.encode()) as found:
        pages = iter(found)
        next(pages)
        assert found.kind == "text"
        assert found.engine
        assert not found.paged


def test_the_warnings_are_there_once_reading_has_ended(reader: Reader, tmp_path: Path) -> None:
    if isinstance(reader, FakeReader):
        reader.warnings = ["The name ends in .pdf, but the content is plain text."]
    with reading(reader, tmp_path, TEXT.encode(), name="notes.pdf") as found:
        list(found)
        assert list(found.warnings) == ["The name ends in .pdf, but the content is plain text."]


def test_a_file_without_bytes_is_an_error_of_its_own(reader: Reader, tmp_path: Path) -> None:
    with reading(reader, tmp_path, b"") as found, pytest.raises(EmptyFile):
        list(found)


def test_a_file_that_cannot_be_read_says_why(reader: Reader, tmp_path: Path) -> None:
    if isinstance(reader, FakeReader):
        reader.fail = Unreadable(kind="PDF", why="it is cut short")
    with reading(reader, tmp_path, pdf(["text"])[:300], name="cut.pdf") as found, pytest.raises(Permanent) as raised:
        list(found)
    assert raised.value.code == "unreadable"
    assert raised.value.facts["why"]


def test_reading_from_a_later_page_on_gives_what_would_have_come_anyway(reader: Reader, tmp_path: Path) -> None:
    content = pdf(["First page.", "", "Third page.", "Fourth page."])
    if isinstance(reader, FakeReader):
        reader.seeks, content = True, b"First page.\f\fThird page.\fFourth page."
    with reading(reader, tmp_path, content, name="a.pdf") as found:
        pages = list(found)
        assert found.seeks
    for first in range(1, 5):
        with reader.read(tmp_path / "original", name="a.pdf", declared=None, first_page=first) as found:
            assert list(found) == pages[first - 1 :]
            assert found.pages == len(pages)


def test_leaving_early_is_no_error(reader: Reader, tmp_path: Path) -> None:
    with reading(reader, tmp_path, TEXT.encode()) as found:
        assert isinstance(next(iter(found)), Page)


def test_two_files_can_be_read_at_the_same_time(reader: Reader, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with reading(reader, tmp_path, b"one") as first, reading(reader, tmp_path / "other", b"two") as second:
        assert ["".join(page.text for page in found) for found in (first, second)] == ["one", "two"]
