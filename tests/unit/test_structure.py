"""The structure of the source: which package may import which, and the claims of ARCHITECTURE.md's table of changes."""

from __future__ import annotations

import ast
import inspect
import pkgutil
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Protocol

import grimp
import pytest
from fastapi import APIRouter
from fastapi.routing import APIRoute

import penstock.api
import penstock.reading.formats
from penstock import ports
from penstock.adapters.celery.wire_format import STAGE_TASKS
from penstock.api.app import create_app
from penstock.domain.task import Stage
from penstock.pipeline.run import STAGES
from penstock.reading.format import Format
from penstock.reading.registry import formats
from penstock.settings import Settings
from tests.support.paths import ROOT

SOURCE = ROOT / "src" / "penstock"
FLOORS = 12
"""The maximum number of top-level packages and modules in one chain of imports."""


@cache
def imports() -> grimp.ImportGraph:
    return grimp.build_graph("penstock", include_external_packages=True, cache_dir=None)


@cache
def modules() -> frozenset[str]:
    return frozenset(name for name in imports().modules if name.split(".")[0] == "penstock")


def room(module: str) -> str:
    """The top-level package or module under `penstock` that this module belongs to."""
    return module.split(".")[1] if "." in module else module


@cache
def imported_rooms(of: str) -> frozenset[str]:
    return frozenset(
        room(imported)
        for module in modules()
        if room(module) == of
        for imported in imports().find_modules_directly_imported_by(module)
        if imported in modules()
    ) - {of, "penstock"}


@cache
def floors(of: str) -> int:
    """The length of the longest chain of rooms that starts at this one."""
    return 1 + max(map(floors, imported_rooms(of)), default=0)


def test_no_circle_between_files() -> None:
    circles = {
        (module, imported)
        for module in modules()
        for imported in imports().find_modules_directly_imported_by(module)
        if imported in modules() and imports().chain_exists(importer=imported, imported=module)
    }
    assert circles == set()


def test_no_import_goes_up() -> None:
    """The layers are those of import-linter's contract."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (contract,) = (each for each in contracts if each["type"] == "layers")
    layers = [grimp.Layer(*map(str.strip, each.split("|")), independent=True) for each in contract["layers"]]
    named = {name for layer in layers for name in layer.module_tails}
    assert named == {room(module) for module in modules()} - {"penstock"}, "a room has no layer"
    upwards = imports().find_illegal_dependencies_for_layers(layers, containers={"penstock"})
    assert {(each.importer, each.imported) for each in upwards} == set()


def test_no_chain_of_rooms_is_too_long() -> None:
    assert max(floors(room(module)) for module in modules() - {"penstock"}) <= FLOORS


def test_few_modules_stand_beside_the_packages() -> None:
    assert len({path.stem for path in SOURCE.glob("*.py")} - {"__init__"}) <= 4


def test_every_init_file_is_empty() -> None:
    """A cold start imports nothing that its function does not use."""
    assert [str(path) for path in SOURCE.rglob("__init__.py") if path.read_bytes()] == []


def test_every_package_has_an_init_file() -> None:
    """Without it setuptools leaves the folder out of the package."""
    assert {path.parent for path in SOURCE.rglob("*.py") if not (path.parent / "__init__.py").exists()} == set()


def test_the_package_imports_nothing_that_is_not_shipped_with_it() -> None:
    assert imports().modules & {"tools", "tests", "benchmarks", "samples"} == set()


@pytest.mark.invariant("I2")
def test_every_record_is_written_in_one_place() -> None:
    """I2: a reader of changes can rely on it that nothing is written past compare-and-set."""
    writing = {str(path.relative_to(SOURCE)) for path in SOURCE.rglob("*.py") if "documents.write(" in path.read_text()}
    assert writing == {"records/compare_and_set.py"}


# The claims of the table of changes: a new format, stage, endpoint, setting or adapter has one place.


def _modules_of(package: object) -> Iterator[object]:
    found = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")  # type: ignore[attr-defined]
    return (import_module(each.name) for each in found)


def test_every_format_has_one_module_and_one_line_in_the_registry() -> None:
    found = [each.FORMAT for each in _modules_of(penstock.reading.formats) if hasattr(each, "FORMAT")]
    assert all(isinstance(each, Format) for each in found)
    assert sorted(map(id, found)) == sorted(map(id, formats()))


@pytest.mark.parametrize("stage", Stage)
def test_every_stage_has_a_row_in_the_table_of_stages_and_a_task_name(stage: Stage) -> None:
    """tests/unit/test_template.py checks that the template has the queues of every stage, each with a consumer."""
    assert stage in STAGES
    assert list(STAGE_TASKS.values()).count(stage) == 1


def test_every_router_of_the_api_is_included() -> None:
    app = create_app(lambda: pytest.fail("nothing connects"), Settings.from_environment())
    answered = {(method.upper(), path) for path, methods in app.openapi()["paths"].items() for method in methods}
    routers = [each for module in _modules_of(penstock.api) for each in vars(module).values()]
    routes = [route for each in routers if isinstance(each, APIRouter) for route in each.routes]
    written = {(method, route.path) for route in routes if isinstance(route, APIRoute) for method in route.methods}
    assert written
    assert {
        (method, path) for method, path in written if not {(method, path), (method, f"/v1{path}")} & answered
    } == set()


def test_every_setting_is_described_in_its_docstring() -> None:
    (settings,) = ast.parse(inspect.getsource(Settings)).body
    assert isinstance(settings, ast.ClassDef)
    fields = {
        node.target.id: _docstring(after)
        for node, after in zip(settings.body, [*settings.body[1:], None], strict=True)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    assert {name for name, text in fields.items() if not text.endswith(".")} == set()


def _docstring(node: ast.stmt | None) -> str:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return inspect.cleandoc(str(node.value.value))
    return ""


def test_every_port_has_a_suite_that_its_adapters_pass() -> None:
    """Except the clock, which is a function."""
    protocols = {name for name, value in vars(ports).items() if inspect.isclass(value) and Protocol in value.__bases__}
    in_suites = {name for path in (ROOT / "tests/contract").glob("test_*.py") for name in _imported_ports(path)}
    assert protocols - in_suites == {"Clock"}


def _imported_ports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == ports.__name__:
            yield from (alias.name for alias in node.names)


# The vocabulary: terms of the field, as docs/glossary.md explains them.

DIALECT = re.compile(r"turnstile|appetite|\bbegun\b|onward|\bspill\b|put_down|stand_down|\btold\b", re.IGNORECASE)
"""Words of an earlier private vocabulary: say rate limiter, prefetch, started, next stage, external sort, release,
shutdown, reported."""


def test_the_source_speaks_in_terms_that_everybody_knows() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in sorted(SOURCE.rglob("*.py"))
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if DIALECT.search(line)
    ]
    assert found == []
