"""The registry: a format takes its module and its kind, and nothing else."""

from __future__ import annotations

from pathlib import Path

import penstock
from penstock.reading.kinds import KINDS

FOLDER = Path(penstock.__path__[0]) / "reading/formats"


def test_every_module_that_defines_a_format_is_named_by_a_kind() -> None:
    modules = {
        ".".join(path.relative_to(FOLDER).with_suffix("").parts)
        for path in FOLDER.rglob("*.py")
        if "\nFORMAT = " in path.read_text()
    }
    assert modules == {kind.module for kind in KINDS}
