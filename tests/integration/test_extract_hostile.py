"""I11: a hostile file costs only itself. Each ends within its limits, with a code that gives the reason."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.reading.sandbox.reader import ChildReader
from tests.support.hostile import LIMITS, SECRET, Case, cases, read

pytestmark = pytest.mark.invariant("I11")

CASES = {case.name: case for case in cases()}


@pytest.fixture(scope="module")
def reader() -> Iterator[ChildReader]:
    """One reader for all files: the worker that has read them lives, and reads on."""
    reader = ChildReader(LIMITS)
    yield reader
    assert reader.fork_server_lives


@pytest.mark.parametrize("case", CASES.values(), ids=[name.encode("ascii", "replace").decode()[:40] for name in CASES])
def test_it_ends_within_its_limits_with_a_clear_code(case: Case, reader: ChildReader, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(case.make())
    outcome = read(reader, path, case.name)
    assert outcome.end in case.ends, outcome.said
    assert f"PENSTOCK_EXTRACT_{case.setting}" in outcome.said or not case.setting
    assert outcome.peak < LIMITS.memory_bytes
    assert "Traceback" not in outcome.said
    assert SECRET not in outcome.text
    if case.name.startswith("xxe"):
        assert "Begin" in outcome.text, "what is beside the entity is read"


def test_cases_have_names_of_their_own() -> None:
    assert len(CASES) == sum(1 for _ in cases())
