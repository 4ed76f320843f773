"""Each invariant of the design is marked on the tests that hold it, and every marker names an invariant."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.support.paths import ROOT

INVARIANTS = frozenset(f"I{number}" for number in range(1, 13))


@dataclass(frozen=True)
class Source:
    """A test function, or a whole test module, as its source says it."""

    place: str
    named: frozenset[str]
    """The invariants that its docstring names."""
    marked: frozenset[str]
    """The invariants that its markers name."""


@cache
def sources() -> tuple[Source, ...]:
    return tuple(source for path in sorted((ROOT / "tests").rglob("test_*.py")) for source in _sources_in(path))


def _sources_in(path: Path) -> Iterator[Source]:
    module, place = ast.parse(path.read_text()), str(path.relative_to(ROOT))
    pytestmarks = [
        node.value
        for node in module.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark"
    ]
    yield Source(place, _named(module), _marked(pytestmarks))
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield Source(f"{place}::{node.name}", _named(node), _marked(node.decorator_list))


def _named(node: ast.Module | ast.FunctionDef) -> frozenset[str]:
    return frozenset(re.findall(r"\bI\d+\b", ast.get_docstring(node) or ""))


def _marked(marks: list[ast.expr]) -> frozenset[str]:
    """The arguments of all `pytest.mark.invariant(...)` within these expressions."""
    return frozenset(
        argument.value
        for mark in marks
        for call in ast.walk(mark)
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "pytest.mark.invariant"
        for argument in call.args
        if isinstance(argument, ast.Constant)
    )


@pytest.mark.parametrize("name", sorted(INVARIANTS, key=lambda name: int(name[1:])))
def test_each_invariant_is_marked_on_a_test(name: str) -> None:
    assert any(name in source.marked for source in sources())


def test_no_marker_names_an_unknown_invariant() -> None:
    assert {source.place: unknown for source in sources() if (unknown := source.marked - INVARIANTS)} == {}


def test_a_docstring_that_names_an_invariant_has_its_marker() -> None:
    assert {source.place: missing for source in sources() if (missing := source.named - source.marked)} == {}
