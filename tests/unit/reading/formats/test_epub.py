"""EPUB: what is a chapter, the order of chapters, and books that are encrypted or damaged."""

from __future__ import annotations

import io
import zipfile

import pytest

from penstock.domain.errors import PasswordRequired, Unreadable
from tests.support.direct_reading import Reading, reading
from tests.support.sample_files import zip_of

CONTAINER = '<container><rootfiles><rootfile full-path="OPS/book.opf"/></rootfiles></container>'


def chapter(text: str) -> str:
    return f'<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><head><title/></head><body><p>{text}</p></body></html>'


def book(items: str, spine: str, **more: str | bytes) -> Reading:
    package = (
        f"<package><metadata><title>The Book</title><title>A Novel</title></metadata>"
        f"<manifest>{items}</manifest><spine>{spine}</spine></package>"
    )
    members: dict[str, str | bytes] = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": CONTAINER,
        "OPS/book.opf": package,
        "OPS/one.xhtml": chapter("Chapter one."),
        "OPS/two.xhtml": chapter("Chapter two."),
        "OPS/picture.jpg": b"\xff\xd8\xff\xe0 no text of anybody",
    }
    return reading(zip_of(members | more), "a.epub")


ONE = '<item id="one" href="one.xhtml" media-type="application/xhtml+xml"/>'
TWO = '<item id="two" href="/OPS/two.xhtml" media-type="application/xhtml+xml"/>'


def test_titles_are_apart_and_a_chapter_that_is_named_twice_is_read_once() -> None:
    found = book(ONE + TWO, '<itemref idref="two" linear="no"/><itemref idref="one"/><itemref idref="two"/>')
    assert found.lines == ["The Book", "A Novel", "Chapter two.", "Chapter one."]


def test_a_picture_in_the_spine_is_no_chapter_but_what_stands_in_for_it_is() -> None:
    picture = '<item id="p" href="picture.jpg" media-type="image/jpeg" fallback="two"/>'
    alone = '<item id="q" href="picture.jpg" media-type="image/jpeg"/>'
    spine = '<itemref idref="q"/><itemref idref="p"/><itemref idref="one"/>'
    found = book(ONE + TWO + picture + alone, spine)
    assert found.lines[2:] == ["Chapter two.", "Chapter one."]
    assert found.problems == []


def locked(*chapters: str) -> str:
    each = "".join(f'<EncryptedData><CipherReference URI="{name}"/></EncryptedData>' for name in chapters)
    return f"<encryption>{each}</encryption>"


def test_a_book_whose_chapters_are_locked_is_refused() -> None:
    with pytest.raises(PasswordRequired):
        book(ONE, '<itemref idref="one"/>', **{"META-INF/encryption.xml": locked("OPS/one.xhtml", "OPS/font.otf")})


def test_a_book_whose_fonts_alone_are_locked_is_read() -> None:
    found = book(ONE, '<itemref idref="one"/>', **{"META-INF/encryption.xml": locked("OPS/font.otf")})
    assert found.lines[-1] == "Chapter one."
    assert found.problems == []


@pytest.mark.parametrize("broken", ["<container>", "<container/>", CONTAINER.replace("OPS/", "elsewhere/")])
def test_a_book_is_read_though_its_container_names_no_package(broken: str) -> None:
    found = book(ONE, '<itemref idref="one"/>', **{"META-INF/container.xml": broken})
    assert found.lines == ["The Book", "A Novel", "Chapter one."]


@pytest.mark.parametrize("package", ["<package><manifest>", "<package/>"])
def test_a_book_whose_package_is_damaged_gives_its_chapters_and_says_so(package: str) -> None:
    found = book("", "", **{"OPS/book.opf": package})
    assert found.lines == ["Chapter one.", "Chapter two."]
    (warning,) = found.warnings
    assert warning.startswith("Its chapters are in the order of the archive, as its ")


def test_a_book_without_a_chapter_is_unreadable() -> None:
    members: dict[str, str | bytes] = {"mimetype": "application/epub+zip", "META-INF/container.xml": CONTAINER}
    with pytest.raises(Unreadable):
        reading(zip_of(members), "a.epub")


@pytest.mark.parametrize(
    ("encoding", "names"),
    [
        ("cp932", ["報告書/議事録.txt", "新しいフォルダー/図面.txt"]),
        ("gbk", ["会议纪要.txt", "报告/年度计划.txt"]),
        ("cp866", ["Отчёт/договор.txt"]),
        ("utf-8", ["Größe.txt"]),
        ("cp437", ["Übung/Größe.txt"]),
    ],
)
def test_the_names_in_an_archive_are_read_whatever_they_are_in(encoding: str, names: list[str]) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for place, name in enumerate(names):
            archive.writestr(str(place) * len(name.encode(encoding)), "words")
    content = buffer.getvalue()
    for place, name in enumerate(names):
        coded = name.encode(encoding)
        content = content.replace(str(place).encode() * len(coded), coded)
    assert reading(content, "a.zip").names == set(names)
