"""The commands that use the API, with a real server and a worker behind it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from penstock.cli.main import app
from penstock.domain.errors import PasswordRequired
from tests.support.api_door import Door, served, settings
from tests.support.sample_files import zip_of

TEXT = "The valve is opened by turning the wheel to the left."


class Shell:
    """A user's shell, in a folder of its own."""

    def __init__(self, door: Door, environment: dict[str, str]) -> None:
        self.door = door
        self.environment = environment

    def run(self, *arguments: str | Path, **environment: str) -> Result:
        return CliRunner().invoke(app, [str(each) for each in arguments], env={**self.environment, **environment})

    def json(self, *arguments: str | Path, code: int = 0):
        result = self.run(*arguments, "--json")
        assert result.exit_code == code, result.output
        return json.loads(result.stdout)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("PENSTOCK_")]:
        monkeypatch.delenv(name)
    return tmp_path


@pytest.fixture
def shell(here: Path) -> Iterator[Shell]:
    door = Door(settings=settings(max_file_bytes=100_000))
    with served(door) as url:
        yield Shell(door, {"PENSTOCK_URL": url, "PENSTOCK_API_KEY": door.key})


def file(here: Path, name: str, content: str = TEXT) -> Path:
    path = here / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def test_add_waits_until_the_document_can_be_found_and_search_cites_it(shell, here):
    added = shell.json("add", file(here, "valve.txt"))
    (document,) = added["documents"]
    assert document["status"] == "indexed"
    assert document["receipt"]["chunks"] == 1
    assert added["summary"] == {"indexed": 1}
    (hit,) = shell.json("search", "valve")["hits"]
    assert hit["document_id"] == document["document_id"]


def test_add_prints_a_table_and_a_sentence_for_people(shell, here):
    result = shell.run("add", file(here, "valve.txt"), file(here, "image.png"))
    assert result.exit_code == 1
    assert "valve.txt" in result.stdout
    assert "PENSTOCK_ACCEPTED_TYPES" in " ".join(result.stdout.split())
    assert result.stdout.strip().endswith("2 documents: 1 indexed, 1 refused.")


def test_add_takes_folders_with_what_is_in_them_hidden_files_apart(shell, here):
    for name in ("a.txt", "deep/b.md", ".hidden.txt", ".git/c.txt"):
        file(here, f"docs/{name}", f"The text of {name}.")
    added = shell.json("add", here / "docs")
    assert [Path(each["file"]).name for each in added["documents"]] == ["a.txt", "b.md"]
    assert added["summary"] == {"indexed": 2}


def test_add_without_waiting_ends_when_all_are_accepted(shell, here):
    added = shell.json("add", file(here, "valve.txt"), "--no-wait")
    assert added["summary"] == {"accepted": 1}


def test_add_passes_id_source_lane_and_metadata_on(shell, here):
    path = file(here, "valve.md")
    shell.json("add", path, "--id", "valve", "--source", "manuals", "--lane", "express", "--meta", "team=a=b")
    found = shell.json("status", "valve")
    assert (found["source"], found["lane"], found["metadata"]) == ("manuals", "express", {"team": "a=b"})
    assert found["content_type"] == "text/markdown"


def test_the_same_file_again_was_here_already(shell, here):
    path = file(here, "valve.txt")
    shell.json("add", path)
    (document,) = shell.json("add", path)["documents"]
    assert (document["status"], document["already_here"]) == ("indexed", True)
    assert "was here already" in shell.run("add", path).stdout


def test_a_document_that_fails_ends_add_with_1_saying_why_and_what_to_do(shell, here):
    shell.door.world.reader.fail = PasswordRequired()
    added = shell.json("add", file(here, "locked.pdf"), code=1)
    (document,) = added["documents"]
    assert (document["status"], document["code"]) == ("failed", "password_required")
    assert document["next_steps"]
    assert shell.json("status", document["document_id"], code=1)["status"] == "failed"


def test_waiting_ends_with_1_when_the_time_is_over(here):
    door = Door()
    with served(door, work=False) as url:
        shell = Shell(door, {"PENSTOCK_URL": url, "PENSTOCK_API_KEY": door.key})
        added = shell.json("add", file(here, "valve.txt"), "--timeout", "0", code=1)
    assert added["summary"] == {"waiting": 1}


def test_an_archive_is_told_with_its_files_and_waited_for(shell, here):
    box = here / "box.zip"
    box.write_bytes(zip_of({"a.txt": "The weir.", "b.txt": "The lock.", "empty.txt": ""}))
    (document,) = shell.json("add", box)["documents"]
    assert (document["status"], document["receipt"]["members"]) == ("indexed", 2)
    assert [(each["name"], each["status"]) for each in document["members"]] == [
        ("box.zip/a.txt", "indexed"),
        ("box.zip/b.txt", "indexed"),
    ]
    printed = " ".join(shell.run("add", box).stdout.split())
    assert "files in it that are documents of their own: 2 (2 indexed); files without text: 3" in printed
    assert "1 document: 1 indexed." in printed
    member = document["members"][0]["document_id"]
    assert f"in archive {document['document_id']}" in " ".join(shell.run("status", member).stdout.split())
    assert "members 2" in " ".join(shell.run("status", document["document_id"]).stdout.split())
    assert shell.json("rm", document["document_id"])["documents"][0]["status"] == "deleted"
    assert shell.json("list")["documents"] == []


def test_what_failed_in_an_archive_is_named_and_ends_add_with_1(shell, here):
    box = here / "box.zip"
    box.write_bytes(zip_of({"a.txt": "The weir."}))
    shell.door.world.reader.fail = PasswordRequired()
    result = shell.run("add", box)
    assert result.exit_code == 1
    assert "box.zip/a.txt: The file is encrypted" in " ".join(result.stdout.split())


def test_list_and_status_show_documents(shell, here):
    shell.json("add", file(here, "a.txt", "The text of a."), file(here, "b.txt", "The text of b."))
    assert {each["name"] for each in shell.json("list")["documents"]} == {"a.txt", "b.txt"}
    assert shell.json("list", "--status", "failed")["documents"] == []
    assert len(shell.json("list", "-n", "1")["documents"]) == 1
    assert "a.txt" in shell.run("list").stdout
    whole = shell.json("status")
    assert (whole["ready"], whole["documents"]) == (True, {"indexed": 2})
    assert "documents: 2 indexed" in shell.run("status").stdout


def test_status_of_a_document_shows_its_receipt_to_people(shell, here):
    shell.run("add", file(here, "valve.txt"), "--id", "valve")
    shown = " ".join(shell.run("status", "valve").stdout.split())
    for words in ("status indexed", "progress 1 of 1 pages", "chunks 1", "embedded 1"):
        assert words in shown


def test_search_shows_where_each_hit_stands_with_its_words_unescaped(shell, here):
    shell.run("add", file(here, "a & b.txt", "Pipes <and> valves & wheels.\fThe second page has a valve."))
    result = shell.run("search", "valves", "wheels")
    assert result.exit_code == 0
    assert "a & b.txt, page" in result.stdout
    assert "valves & wheels" in result.stdout
    assert "<mark>" not in result.stdout
    assert "#page=" in result.stdout


def test_a_search_that_finds_nothing_ends_with_1(shell):
    result = shell.run("search", "valve")
    assert result.exit_code == 1
    assert "Nothing was found." in result.stdout


def test_rm_waits_until_nothing_is_left_and_an_unknown_id_does_not_stop_the_others(shell, here):
    shell.run("add", file(here, "valve.txt"), "--id", "valve")
    removed = shell.json("rm", "absent", "valve", code=1)
    assert [each["status"] for each in removed["documents"]] == ["refused", "deleted"]
    assert removed["documents"][0]["code"] == "not_found"
    assert shell.json("list")["documents"] == []
    assert shell.door.world.objects.objects == {}


def test_retry_waits_for_the_end_and_says_what_cannot_be_retried(shell, here):
    shell.run("add", file(here, "sound.txt"), "--id", "sound")
    shell.door.world.reader.fail = PasswordRequired()
    shell.run("add", file(here, "broken.txt", "Words."), "--id", "broken")
    shell.door.world.reader.fail = None
    outcomes = shell.json("retry", "broken", "sound", "absent", code=1)
    assert [each["status"] for each in outcomes["documents"]] == ["indexed", "refused", "refused"]
    assert [each["code"] for each in outcomes["documents"]] == [None, "nothing_to_retry", "not_found"]
    assert "nothing to retry" in shell.run("retry", "sound").stdout


def test_cancel_and_retry_of_what_waits(here):
    door = Door()
    with served(door, work=False) as url:
        shell = Shell(door, {"PENSTOCK_URL": url, "PENSTOCK_API_KEY": door.key})
        shell.run("add", file(here, "valve.txt"), "--id", "valve", "--no-wait")
        outcomes = shell.json("cancel", "valve")
        assert [each["status"] for each in outcomes["documents"]] == ["cancelled"]
        assert shell.json("status", "valve")["status"] == "cancelled"
        assert "cancelled" in shell.run("cancel", "valve").stdout
        assert shell.json("retry", "valve", "--no-wait")["summary"] == {"accepted": 1}
        assert shell.json("status", "valve")["status"] == "queued"
        assert shell.json("cancel", "valve", "--no-wait")["summary"] == {"accepted": 1}


def test_status_of_a_document_that_is_not_there_ends_with_1(shell):
    result = shell.run("status", "absent")
    assert result.exit_code == 1
    assert "no document 'absent'" in result.stderr


def test_a_wrong_key_ends_with_4_and_says_what_to_do(shell):
    result = shell.run("list", PENSTOCK_API_KEY="psk.acme.nothing.at-all")
    assert result.exit_code == 4
    assert "penstock keys create" in result.stderr


def test_an_address_where_nothing_is_ends_with_3_and_says_what_to_do(shell):
    result = shell.run("list", PENSTOCK_URL="http://127.0.0.1:9")
    assert result.exit_code == 3
    assert "make run" in result.stderr
    assert "Traceback" not in result.stderr


def test_an_address_that_is_no_penstock_ends_with_3(shell):
    result = shell.run("list", PENSTOCK_URL=shell.environment["PENSTOCK_URL"] + "/docs#")
    assert result.exit_code in {1, 3}
    assert "Traceback" not in result.stderr


def test_without_an_address_it_says_what_to_set(here):
    result = CliRunner().invoke(app, ["list"])
    assert result.exit_code == 3
    assert "PENSTOCK_URL" in result.stderr
    assert "make run" in result.stderr


def test_in_the_folder_of_a_local_run_its_address_and_key_are_found(shell, here):
    (here / ".penstock").mkdir()
    (here / ".penstock/url").write_text(shell.environment["PENSTOCK_URL"] + "\n")
    (here / ".penstock/api-key").write_text(shell.door.key + "\n")
    result = CliRunner().invoke(app, ["list", "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == {"documents": []}


def test_the_key_of_a_local_run_is_not_shown_to_another_address(shell, here):
    (here / ".penstock").mkdir()
    (here / ".penstock/url").write_text("http://127.0.0.1:1\n")
    (here / ".penstock/api-key").write_text(shell.door.key + "\n")
    result = CliRunner().invoke(app, ["list"], env={"PENSTOCK_URL": shell.environment["PENSTOCK_URL"]})
    assert result.exit_code == 4
    assert "PENSTOCK_API_KEY is not set" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["add", "/no/such/file"],
        ["add"],
        ["search"],
        ["search", "x", "-k", "0"],
        ["list", "--status", "lost"],
        ["frobnicate"],
        ["worker", "--lanes", "fast"],
    ],
)
def test_wrong_usage_ends_with_2(shell, arguments):
    result = shell.run(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""


def test_wrong_metadata_or_one_id_for_several_files_end_with_2(shell, here):
    a, b = file(here, "a.txt"), file(here, "b.txt")
    assert shell.run("add", a, "--meta", "novalue").exit_code == 2
    assert shell.run("add", a, b, "--id", "x").exit_code == 2


def test_a_file_whose_name_is_no_text_is_added_all_the_same(shell, here):
    path = Path(os.fsdecode(os.fsencode(here) + b"/caf\xe9.txt"))
    path.write_text(TEXT)
    (document,) = shell.json("add", path)["documents"]
    assert document["status"] == "indexed"
