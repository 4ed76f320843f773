"""What a stack keeps, and what it leaves behind."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.e2e.kill_worker import SETTINGS as KILLED
from tests.e2e.kill_worker import kill_and_count
from tests.e2e.replace_under_search import SETTINGS as REPLACED
from tests.e2e.replace_under_search import search_while_replacing
from tests.e2e.stack import Stack, descendants, running_stack, stop, until
from tests.support.processes import is_alive
from tests.support.stubs.openai_server import OpenAIServer


def await_end(processes: Sequence[int]) -> None:
    """Wait for the processes that open files. They end when the worker's end of a socket is closed."""
    until(lambda: not any(map(is_alive, processes)) or None, seconds=60, what="all its processes have ended")


def test_documents_survive_a_clean_stop_which_leaves_no_process_and_no_port(
    on_its_own: dict[str, str], tmp_path: Path
) -> None:
    with running_stack(tmp_path / "state", **on_its_own) as stack:
        document = stack.upload("kept.txt", b"What is kept over night is found in the morning.")["document_id"]
        assert stack.final(document)["status"] == "indexed"
        processes = descendants(stack.process.pid)
        assert len(processes) >= 4
        urls = [stack.environment[name] for name in ("AWS_ENDPOINT_URL", "PENSTOCK_INDEX_URL")]
        ports = [urlsplit(url).port for url in (str(stack.client.base_url), *urls) if url]
        key = (stack.state / "api-key").read_text()
        assert stop(stack.process) == 0
        await_end(processes)
        for port in ports:
            with socket.socket() as probe:
                assert probe.connect_ex(("127.0.0.1", port)) != 0
    with running_stack(tmp_path / "state", **on_its_own) as stack:
        assert (stack.state / "api-key").read_text() == key
        assert stack.document(document)["status"] == "indexed"
        assert stack.search("found in the morning")["hits"][0]["document_id"] == document


def test_a_stack_that_is_killed_leaves_no_process(on_its_own: dict[str, str], tmp_path: Path) -> None:
    with running_stack(tmp_path / "state", **on_its_own) as stack:
        processes = descendants(stack.process.pid)
        os.kill(stack.process.pid, signal.SIGKILL)
        stack.process.wait()
        await_end(processes)


def test_a_port_in_use_is_said_with_the_settings_name(stack: Stack, tmp_path: Path) -> None:
    taken = str(stack.client.base_url.port)
    answer = stack.penstock("up", "--state", str(tmp_path), check=False, PENSTOCK_API_PORT=taken)
    assert answer.returncode == 3
    assert "PENSTOCK_API_PORT" in answer.stderr


def test_another_index_than_the_one_that_has_the_documents_is_refused(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("PENSTOCK_INDEX=sqlite\n")
    refused = running_stack(tmp_path, PENSTOCK_INDEX="opensearch")
    with (
        pytest.raises(AssertionError, match=r"are in its sqlite index.*would find none.*PENSTOCK_INDEX=sqlite"),
        refused,
    ):
        pytest.fail("it started")


def test_an_index_of_another_embedder_is_refused_and_not_mixed(on_index: dict[str, str], tmp_path: Path) -> None:
    with running_stack(tmp_path / "state", **on_index) as stack:
        stack.final(stack.upload("a.txt", b"Made by one embedder.")["document_id"])
    with OpenAIServer() as server:
        key = {"OPENAI_API_KEY": server.key, "OPENAI_BASE_URL": server.url}
        refused = running_stack(tmp_path / "state", **on_index, **key)
        with pytest.raises(AssertionError, match=r"wordllama.*text-embedding-3-small"), refused:
            pytest.fail("it started")


@pytest.mark.invariant("I2", "I3", "I6")
def test_the_worker_killed_in_mid_document_loses_doubles_and_repeats_nothing(
    on_index: dict[str, str], tmp_path: Path
) -> None:
    """I2, I3, I6."""
    with OpenAIServer() as server:
        server.delay = 0.1
        key = {"OPENAI_API_KEY": server.key, "OPENAI_BASE_URL": server.url}
        with running_stack(tmp_path / "state", **on_index, **KILLED, **key) as stack:
            counts = kill_and_count(stack, server, 150)
    assert counts.right, counts


@pytest.mark.invariant("I8")
def test_answers_are_wholly_old_or_wholly_new_while_a_document_is_replaced(
    on_index: dict[str, str], tmp_path: Path
) -> None:
    """I8: a short run of what `make truth` does at length."""
    with running_stack(tmp_path / "state", **on_index, **REPLACED) as stack:
        seen = search_while_replacing(stack, searches=300, replacements=5)
    assert seen.faults == []
    assert seen.with_dropped >= 5, seen
