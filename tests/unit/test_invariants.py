"""The design's invariants, and the tests that hold them."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from tests.support.paths import ROOT

TESTS = ROOT / "tests"


@cache
def named() -> set[str]:
    """By the docstrings of tests."""
    functions = (
        node
        for path in TESTS.rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    )
    return {name for each in functions for name in re.findall(r"\bI\d+\b", ast.get_docstring(each) or "")}


@pytest.mark.parametrize("number", range(1, 13))
def test_each_invariant_is_named_by_a_test(number: int) -> None:
    assert f"I{number}" in named()
