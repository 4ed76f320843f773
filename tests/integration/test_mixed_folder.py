"""A folder of 50 ordinary files, added by `penstock add`: each ends with the right status, which is reported."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from penstock.cli.main import app
from penstock.reading.limits import ReadLimits
from penstock.reading.sandbox.reader import ChildReader
from penstock.services import Limits
from tests.support.api_door import Door, served, settings
from tests.support.generated_prose import Prose
from tests.support.hostile import _laughs, nested_zip, xml_in
from tests.support.pdf_files import pdf, scanned_pdf
from tests.support.sample_files import MAKERS, docx_file, odt_file, zip_of
from tests.support.world import World

LONG = pdf(f"Page {number} {Prose(number, headings=0).text(1200)}" for number in range(1, 11))
INDEXED = {make().name: make().content for make in MAKERS.values()} | {
    f"letters/letter {number}.txt": Prose(number).text(500).encode() for number in range(14)
}
ARCHIVE = "with a broken file.zip"
INDEXED[ARCHIVE] = zip_of({"broken.pdf": b"%PDF-1.7\nnothing", "good.txt": "This one is good."})
PARTIAL = {
    "cut.pdf": LONG[: len(LONG) * 2 // 3],
    "cut.docx": docx_file(31).content[:30_000],
    "cut.odt": odt_file(32).content[:5_000],
    "cut.zip": zip_of({f"{number}.txt": Prose(number).text(20_000) for number in range(5)})[:20_000],
}
NO_TEXT = {f"scan {number}.pdf": scanned_pdf(number + 1) for number in range(4)} | {"blank.txt": b" \n\n"}
FAILED = {
    "locked.pdf": (pdf(["For some."], password="secret"), "password_required"),
    "junk.pdf": (bytes(range(256)) * 40, "unsupported_type"),
    "broken.pdf": (b"%PDF-1.7\n" + bytes(range(256)) * 40, "unreadable"),
    "laughs.docx": (xml_in("docx", _laughs(), "&a9;"), "limit_hit"),
    "nested.zip": (nested_zip(12), "limit_hit"),
    "old.docx": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "unsupported_type"),
}
REFUSED = {"empty.docx": (b"", "empty_file"), "photo.jpg": (b"\xff\xd8\xff", "type_not_accepted")}
FILES = INDEXED | PARTIAL | NO_TEXT | {name: content for name, (content, _) in (FAILED | REFUSED).items()}
FILES["Grün ..%2F\u202etxt.🌊.txt"] = b"It has an odd name."


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[dict, Result]]:
    for name in [name for name in os.environ if name.startswith("PENSTOCK_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "folder"
    for name, content in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    monkeypatch.chdir(tmp_path)
    reader = ChildReader(ReadLimits(seconds=60))
    door = Door(
        World(reader=reader, limits=Limits(chunk_chars=4000, overlap_chars=400)), settings(max_file_bytes=5_000_000)
    )
    with served(door) as url:
        environment = {"PENSTOCK_URL": url, "PENSTOCK_API_KEY": door.key, "COLUMNS": "200"}
        run = CliRunner()
        first = run.invoke(app, ["add", "folder", "--json"], env=environment)
        again = run.invoke(app, ["add", "folder"], env=environment)
        yield json.loads(first.stdout), again


def test_a_mixed_folder_ends_with_a_summary_that_a_person_understands(added: tuple[dict, Result]) -> None:
    first, again = added
    assert len(FILES) == 50
    by_name = {each["file"].partition("/")[2]: each for each in first["documents"]}
    statuses = {name: each["status"] for name, each in by_name.items()}
    assert {name: statuses[name] for name in INDEXED} == dict.fromkeys(INDEXED, "indexed")
    assert {name: statuses[name] for name in PARTIAL} == dict.fromkeys(PARTIAL, "partial")
    assert {name: statuses[name] for name in NO_TEXT} == dict.fromkeys(NO_TEXT, "no_text")
    for name, (_, code) in (FAILED | REFUSED).items():
        assert by_name[name]["code"] == code
    assert all(by_name[name]["receipt"]["pages_damaged"] for name in PARTIAL)
    came = {each["name"]: each["status"] for each in by_name[ARCHIVE]["members"]}
    assert came == {f"{ARCHIVE}/broken.pdf": "failed", f"{ARCHIVE}/good.txt": "indexed"}
    assert first["summary"] == {"indexed": 33, "partial": 4, "no_text": 5, "failed": 6, "refused": 2}
    printed = " ".join(again.stdout.split())
    assert "50 documents: 33 indexed, 4 partly indexed, 5 without text, 6 failed, 2 refused." in printed
    assert "locked.pdf: The file is encrypted and does not open without a password. Upload a copy without" in printed
    assert "files in it that are documents of their own: 2 (1 indexed, 1 failed)" in printed
    assert f"{ARCHIVE}/broken.pdf: The file cannot be read as PDF" in printed
    assert "PENSTOCK_EXTRACT_ENTITY_CHARS" in printed
