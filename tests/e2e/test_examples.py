"""The programs of examples/, each run as its reader would run it; those that need a stack, on a real one."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from examples.own_embedder import TrigramEmbedder
from tests.e2e.stack import ROOT, RunningStack
from tests.support.world import World

EXAMPLES = sorted(path.name for path in (ROOT / "examples").glob("*.py"))


def run(name: str, *arguments: str, environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / name), *arguments],
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def environment(stack: RunningStack) -> dict[str, str]:
    """The environment that examples/README.md sets up."""
    return {
        **stack.environment,
        "PENSTOCK_URL": str(stack.client.base_url).rstrip("/"),
        "PENSTOCK_API_KEY": stack.client.headers["Authorization"].removeprefix("Bearer "),
    }


@pytest.fixture
def note(tmp_path: Path) -> Path:
    """A file that no other test has added."""
    path = tmp_path / f"note-{uuid.uuid4().hex[:8]}.txt"
    path.write_text(f"The sluice {path.stem} was painted green.")
    return path


def test_a_file_is_added_and_then_found(environment: dict[str, str], note: Path) -> None:
    assert "indexed, 1 pages, 1 chunks" in run("add_and_wait.py", str(note), environment=environment)
    first = run("search.py", f'"{note.stem}" painted', environment=environment).splitlines()[0]
    assert note.name in first


def test_a_file_in_the_drop_folder_becomes_a_document(environment: dict[str, str], note: Path) -> None:
    said = run("drop_folder.py", str(note), environment=environment)
    assert said.splitlines()[0].endswith(f"drop/local/dropped-by-example/{note.name}")
    assert said.rstrip().endswith(": indexed")


def test_an_embedder_of_ones_own_ranks_what_is_spelled_alike() -> None:
    ranked = sorted(run("own_embedder.py").splitlines(), reverse=True)
    assert "Grease the guide vane bearings." in ranked[0]


def test_the_pipeline_runs_with_an_embedder_of_ones_own() -> None:
    world = World(embedder=TrigramEmbedder())
    received = world.upload("The guide vane bearings are greased each month.")
    world.drain()
    receipt = world.record(received).receipt
    assert receipt is not None
    assert (receipt.chunks, receipt.vectors, receipt.refused) == (1, 1, "")
    assert [hit.document for hit in world.search("greasing of bearings").hits] == [received.document.id]


def test_each_example_is_described() -> None:
    page = (ROOT / "examples/README.md").read_text()
    assert [name for name in EXAMPLES if f"({name})" not in page] == []
