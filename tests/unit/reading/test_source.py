"""The source of a reading: where the bytes of a file lie while it is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.domain.errors import Unreadable
from penstock.reading.source import Source

_FEW = 4 << 20


@pytest.mark.parametrize(("size", "held"), [(1, True), (_FEW, True), (_FEW + 1, False)])
def test_a_small_file_is_held_in_memory_and_a_large_one_is_not(tmp_path: Path, size: int, held: bool) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * size)
    source = Source(path, "a.txt", "text/plain")
    found = source.in_memory()
    assert found.place == (b"x" * size if held else path)
    assert (found.name, found.declared, found.unfolded is source.unfolded) == ("a.txt", "text/plain", True)


def test_a_part_of_a_file_is_in_memory_already() -> None:
    source = Source(b"content")
    assert source.in_memory() is source


def test_a_file_that_is_not_there_cannot_be_held() -> None:
    with pytest.raises(Unreadable, match="No such file"):
        Source(Path("nowhere")).in_memory()
