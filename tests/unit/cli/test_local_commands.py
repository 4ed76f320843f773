"""The commands that need no API: reading a file, keys, settings of a local run, help."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from penstock.cli.exits import CommandError, Exit
from penstock.cli.local_run import load_environment, tenant_or_local
from penstock.cli.main import app
from penstock.cli.outcome import Outcome, exit_code, outcomes_json
from tests.support.environment import restored_environment
from tests.support.pdf_files import pdf, scanned_pdf


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of its own. The environment that a command loads there is restored afterwards."""
    monkeypatch.chdir(tmp_path)
    with restored_environment():
        for name in [name for name in os.environ if name.startswith(("PENSTOCK_", "AWS_"))]:
            del os.environ[name]
        yield tmp_path


def run(*arguments: str, **environment: str):
    return CliRunner().invoke(app, list(arguments), env=environment)


def write_env(here: Path, **words: str) -> None:
    (here / ".penstock").mkdir()
    (here / ".penstock/env").write_text("".join(f"{name}={value}\n" for name, value in words.items()))


def test_help_imports_nothing_heavy():
    heavy = ("boto3", "botocore", "fastapi", "celery", "kombu", "pydantic", "numpy", "openai")
    code = f"import sys, penstock.cli.main; print([name for name in {heavy} if name in sys.modules])"
    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert seen.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "command",
    [
        "",
        *("add", "status", "list", "search", "rm", "retry", "cancel", "extract", "estimate", "serve", "worker"),
        *("doctor", "dead-letters list", "dead-letters show", "dead-letters redrive", "dead-letters drop"),
    ],
)
def test_every_help_names_the_exit_codes(command):
    shown = run(*command.split(), "--help").stdout
    assert "Exit codes: 0 done" in shown


def test_version_is_that_of_the_package():
    assert run("version").stdout.strip().count(".") == 2


def test_extract_reads_a_file_without_any_server(here):
    (here / "a.md").write_text("# Valves\n\nTurn the wheel.\n")
    result = run("extract", "a.md", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert set(found) == {"kind", "engine", "pages", "warnings"}
    assert found["kind"] == "markdown"
    assert "Turn the wheel." in found["pages"][0]["text"]
    assert "Turn the wheel." in run("extract", "a.md").stdout


@pytest.mark.parametrize("content", [b"", b"%PDF-1.4 nonsense", b"\x89PNG\r\n\x1a\n" + bytes(100)])
def test_extract_of_a_file_that_cannot_be_read_ends_with_1_and_a_reason(here, content):
    (here / "a.pdf").write_bytes(content)
    result = run("extract", "a.pdf")
    assert result.exit_code == 1
    assert result.stderr.startswith("penstock: ")
    assert "Traceback" not in result.output


def test_extract_names_the_pages_without_text_and_a_file_without_any(here):
    (here / "gaps.pdf").write_bytes(pdf(["", "Turn the wheel.", "", ""]))
    assert "Pages without text: 1,3-4." in run("extract", "gaps.pdf").stderr
    (here / "scan.pdf").write_bytes(scanned_pdf(2))
    result = run("extract", "scan.pdf")
    assert result.exit_code == 0
    assert "There is no text in it." in result.stderr
    assert "PENSTOCK_RECOGNIZER" in result.stderr


def test_operators_commands_take_the_settings_of_a_local_run_unless_others_are_set(here, monkeypatch):
    write_env(here, PENSTOCK_TABLE="local-table", PENSTOCK_BUCKET="local-bucket")
    monkeypatch.setenv("PENSTOCK_BUCKET", "mine")
    monkeypatch.setenv("PENSTOCK_TABLE", "")
    assert load_environment() is True
    assert os.environ["PENSTOCK_BUCKET"] == "mine"
    monkeypatch.setenv("PENSTOCK_TABLE", "theirs")
    assert load_environment() is False


def test_the_tenant_is_named_or_that_of_the_local_run(here, monkeypatch):
    with pytest.raises(CommandError) as stopped:
        tenant_or_local(None)
    assert stopped.value.code is Exit.USAGE
    assert tenant_or_local("acme") == "acme"
    write_env(here, PENSTOCK_LOG="quiet")
    monkeypatch.delenv("PENSTOCK_LOG", raising=False)
    assert tenant_or_local(None) == "local"
    monkeypatch.delenv("PENSTOCK_LOG")


@pytest.mark.parametrize("command", [["keys", "list"], ["keys", "create"], ["keys", "revoke", "x"]])
def test_without_settings_the_operators_commands_name_what_to_set(here, command):
    result = run(*command, "--tenant", "acme")
    assert result.exit_code == 3
    assert "PENSTOCK_TABLE" in result.stderr
    assert run(*command).exit_code == 2


def test_a_tenant_that_is_none_is_wrong_usage(here):
    assert run("keys", "list", "--tenant", "No Good").exit_code == 2


def test_eager_without_settings_names_what_to_set(here):
    (here / "a.txt").write_text("words")
    result = run("add", "a.txt", PENSTOCK_EAGER="1", PENSTOCK_TENANT="acme")
    assert result.exit_code == 3
    assert "PENSTOCK_TABLE" in result.stderr


def test_one_file_that_failed_makes_the_exit_code_1_and_partial_ones_do_not():
    good = [Outcome("a", status) for status in ("indexed", "partial", "no_text")]
    assert exit_code(good) is Exit.DONE
    assert exit_code([*good, Outcome("b", "failed")]) is Exit.FAILED
    assert outcomes_json(good)["summary"] == {"indexed": 1, "partial": 1, "no_text": 1}


def test_an_empty_tenant_is_nobodys(here):
    (here / ".penstock").mkdir()
    (here / ".penstock" / "env").write_text('PENSTOCK_TABLE=t\nPENSTOCK_BUCKET=b\nPENSTOCK_QUEUES={"delete": "q"}\n')
    ended = run("keys", "create", "--tenant", "")
    assert ended.exit_code == Exit.USAGE
    assert "tenant id" in ended.output


def test_a_setting_that_cannot_be_used_is_named(here):
    ended = run("serve", PENSTOCK_API_PORT="abc")
    assert (ended.exit_code, "PENSTOCK_API_PORT" in ended.output, "bug" in ended.output) == (Exit.USAGE, True, False)


def test_a_worker_without_settings_says_what_to_set(here):
    ended = run("worker")
    assert (ended.exit_code, "PENSTOCK_BUCKET" in ended.output) == (Exit.UNREACHABLE, True)


def test_a_key_that_can_be_none_is_not_shown(here):
    ended = run("list", PENSTOCK_URL="http://127.0.0.1:9", PENSTOCK_API_KEY="psk.secret\nrest")
    assert (ended.exit_code, "secret" in ended.output) == (Exit.KEY_REFUSED, False)


def test_eager_takes_no_field_that_the_api_would_refuse(here):
    (here / "a.txt").write_text("text")
    ended = run("add", "a.txt", "--source", "a/b", PENSTOCK_EAGER="1", PENSTOCK_TENANT="acme")
    assert (ended.exit_code, "source" in ended.output) == (Exit.USAGE, True)


def test_the_local_key_goes_with_the_local_url_however_it_ends(here):
    (here / ".penstock").mkdir()
    (here / ".penstock" / "url").write_text("http://127.0.0.1:9\n")
    (here / ".penstock" / "api-key").write_text("psk.local.a.b\n")
    ended = run("list", PENSTOCK_URL="http://127.0.0.1:9/")
    assert ended.exit_code == Exit.UNREACHABLE
