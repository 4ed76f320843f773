"""ZIP members: what the child process reports of an archive whose files become documents of their own."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from penstock.domain.errors import LimitHit, Permanent, Unreadable
from penstock.ports import Member
from penstock.reading.limits import ReadLimits
from penstock.reading.sandbox.reader import ChildReader
from tests.support.hostile import NAMES, nested_zip, overlapping_zip
from tests.support.pdf_files import pdf
from tests.support.sample_files import docx_file, zip_of


@dataclass
class Taken:
    """What was taken of an archive, and what was reported of it."""

    files: dict[tuple[str, ...], bytes] = field(default_factory=dict)
    types: list[str] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    problems: dict[int, str | None] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    pages: int = 0

    def take(self, member: Member) -> None:
        self.files[member.path] = b"".join(member.content)
        self.types.append(member.media_type)
        self.numbers.append(member.number)
        assert len(self.files[member.path]) == member.size


def apart(folder: Path, content: bytes, name: str = "box.zip", **limits: int) -> Taken:
    path = folder / "original"
    path.write_bytes(content)
    taken = Taken()
    reader = ChildReader(ReadLimits(**({"seconds": 60} | limits)))  # type: ignore[arg-type]
    with reader.read(path, name=name, declared=None, on_member=taken.take) as reading:
        for page in reading:
            assert page.text == ""
            taken.problems[page.number] = page.problem
        taken.warnings, taken.pages = tuple(reading.warnings), reading.pages
        assert (reading.kind, reading.paged) == ("zip", False)
    return taken


def test_the_files_come_whole_and_with_the_type_of_their_content(tmp_path: Path) -> None:
    long = bytes(range(32, 127)) * 20_000
    paper = pdf(["One page."])
    taken = apart(tmp_path, zip_of({"a.pdf": paper, "sub/b.txt": long, "__MACOSX/a.pdf": b"x", ".DS_Store": b"x"}))
    assert taken.files == {("a.pdf",): paper, ("sub/b.txt",): long}
    assert taken.types == ["application/pdf", "text/plain"]
    assert (taken.numbers, taken.pages, taken.warnings) == ([1, 2], 2, ())


def test_an_archive_within_is_a_folder(tmp_path: Path) -> None:
    within = zip_of({"deep.txt": "Deep.", "word.docx": docx_file(1).content})
    taken = apart(tmp_path, zip_of({"in.zip": within, "in.zip.txt": "Not in it."}))
    assert list(taken.files) == [("in.zip", "deep.txt"), ("in.zip", "word.docx"), ("in.zip.txt",)]
    assert taken.numbers == [1, 2, 3]


def test_what_is_not_taken_is_named_with_its_reason(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "photo.png": b"\x89PNG\r\n\x1a\n" + bytes(50),
        "empty.txt": b"",
        "none.zip": zip_of({"__MACOSX/x": b"x"}),
        "good.txt": "Good.",
    }
    taken = apart(tmp_path, zip_of(files))
    assert list(taken.files) == [("good.txt",)]
    assert taken.problems == {1: None, 2: None, 3: "none.zip: it has no files"}
    assert taken.warnings == (
        "photo.png is a PNG image, which is not read.",
        "empty.txt is empty, which is not read.",
        "none.zip: it has no files.",
    )
    assert taken.numbers == [4]


def test_a_file_with_a_password_and_a_damaged_one_cost_themselves_alone(tmp_path: Path) -> None:
    content = bytearray(zip_of({"a.txt": "The first." * 30, "b.txt": "The second." * 30, "c.txt": "The third."}))
    directory = content.find(b"PK\x01\x02")
    content[directory + 8] |= 1  # encrypted
    second = content.find(b"b.txt")
    content[second + 8] ^= 0xFF
    taken = apart(tmp_path, bytes(content))
    assert list(taken.files) == [("c.txt",)]
    assert "password" in str(taken.problems[1])
    assert str(taken.problems[2]).startswith("b.txt: ")


@pytest.mark.parametrize(
    ("content", "limits", "error", "named"),
    [
        (nested_zip(20), {}, LimitHit, "NESTING"),
        (zip_of({f"{n}.txt": "x" for n in range(30)}), {"archive_entries": 20}, LimitHit, "ARCHIVE_ENTRIES"),
        (
            zip_of({f"{n}.zip": zip_of({f"{m}.txt": "x" for m in range(8)}) for n in range(8)}),
            {"archive_entries": 20},
            LimitHit,
            "ARCHIVE_ENTRIES",
        ),
        (zip_of({"a.txt": "The first.", "b.txt": "x" * 2_000_000}), {"archive_bytes": 1_000_000}, LimitHit, "BYTES"),
        (zip_of({"__MACOSX/a": "x"}), {}, Unreadable, "no files"),
    ],
    ids=["nesting", "entries", "entries of archives within", "bytes", "no files"],
)
def test_of_an_archive_beyond_a_limit_no_file_is_taken(
    tmp_path: Path, content: bytes, limits: dict[str, int], error: type[Permanent], named: str
) -> None:
    path = tmp_path / "original"
    path.write_bytes(content)
    taken = Taken()
    reader = ChildReader(ReadLimits(**({"seconds": 60} | limits)))  # type: ignore[arg-type]
    with (
        pytest.raises(error, match=named),
        reader.read(path, name="a.zip", declared=None, on_member=taken.take) as reading,
    ):
        list(reading)
    assert taken.files == {}


def test_an_archive_within_the_limits_of_nesting_is_taken_whole(tmp_path: Path) -> None:
    taken = apart(tmp_path, nested_zip(4))
    assert b"At the bottom." in taken.files.values()


def test_names_made_to_harm_are_but_names(tmp_path: Path) -> None:
    taken = apart(tmp_path, zip_of({name: f"It is {what}." for name, what in NAMES.items()}))
    assert len(taken.files) == len(NAMES)
    assert [each.name for each in tmp_path.iterdir()] == ["original"]


def test_an_archive_that_is_cut_short_gives_the_files_that_are_there(tmp_path: Path) -> None:
    whole = zip_of({"a.txt": "The first." * 50, "b.txt": bytes(range(256)) * 400})
    taken = apart(tmp_path, whole[: whole.find(b"b.txt") + 40])
    assert taken.files[("a.txt",)] == b"The first." * 50
    assert any("cut short" in str(problem) for problem in taken.problems.values())


def test_overlapping_files_are_refused_one_by_one_or_together(tmp_path: Path) -> None:
    path = tmp_path / "original"
    path.write_bytes(overlapping_zip(500))
    reader, taken = ChildReader(ReadLimits(seconds=60)), Taken()
    with reader.read(path, name="a.zip", declared=None, on_member=taken.take) as reading:
        pages = list(reading)
    assert len(taken.files) + len(pages) == 500
    assert len(taken.files) <= 1


def test_what_is_not_wanted_of_a_file_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "original"
    path.write_bytes(zip_of({"a.txt": "x" * 1_000_000, "b.txt": "The second."}))
    seen: list[bytes] = []
    with ChildReader(ReadLimits(seconds=60)).read(
        path, name="a.zip", declared=None, on_member=lambda member: seen.append(next(member.content))
    ) as reading:
        assert list(reading) == []
    assert [each[:10] for each in seen] == [b"x" * 10, b"The second"]


def test_without_a_taker_the_texts_are_the_pages(tmp_path: Path) -> None:
    path = tmp_path / "original"
    path.write_bytes(zip_of({"a.txt": "The first.", "in.zip": zip_of({"b.txt": "The second."})}))
    with ChildReader(ReadLimits(seconds=60)).read(path, name="a.zip", declared=None) as reading:
        texts = [page.text.strip() for page in reading]
    assert texts == ["The first.", "The second."]
