"""What the pages say of the code is true: paths, links, make targets, commands, settings, layers and states."""

from __future__ import annotations

import re
import tomllib
from dataclasses import fields
from functools import cache
from pathlib import Path

import pytest
import typer

from penstock.cli.main import app
from penstock.domain.status import TRANSITIONS, Status
from penstock.reading.limits import ReadLimits
from penstock.settings import Settings
from tests.support.paths import ROOT

SOURCE = ROOT / "src/penstock"
PAGES = sorted(
    [
        *(ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md")),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "examples").glob("*.md"),
    ]
)
LINKED = [*PAGES, ROOT / "CHANGELOG.md"]
ROOMS = "src|tests|docs|samples|examples|tools|benchmarks|events|layers|requirements"
FILE = re.compile(r"[\w-][\w.-]*\.(?:py|md|toml|yaml|yml|txt)")
IN_THE_BUCKET = {"drop/", "files/", "letters/", "uploads/", "work/"}
MADE_BY_PROGRAMS = {"tokenizer.json", "model.onnx"}
BESIDE_SETTINGS = {"API_KEY", "DEBUG", "EAGER", "TENANT", "URL"}
"""Variables of the command line alone."""

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def written(page: Path) -> str:
    """The page, without what a program wrote into it."""
    return re.sub(r"^<!-- .*?^<!-- end.*?-->", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def code_in(page: Path) -> str:
    """The code blocks and code spans of a page, a line each."""
    blocks = re.findall(r"^```.*?^```", written(page), re.DOTALL | re.MULTILINE)
    return "\n".join([*blocks, *spans_in(page)])


def spans_in(page: Path) -> list[str]:
    return re.findall(r"`([^`\n]+)`", prose_of(page))


def prose_of(page: Path) -> str:
    return re.sub(r"^```.*?^```", "", written(page), flags=re.DOTALL | re.MULTILINE)


@cache
def names() -> frozenset[str]:
    """The names of files and of folders, the latter with their slash."""
    files = (*SOURCE.rglob("*.py"), *ROOT.glob("*.*"), *(ROOT / "docs").rglob("*.md"))
    folders = (path for path in (*SOURCE.rglob("*/"), *(ROOT / "tests").glob("*/")) if path.is_dir())
    return frozenset(path.name for path in files) | {f"{path.name}/" for path in folders}


def is_there(path: str, page: Path) -> bool:
    """A path begins at the root, in src/penstock, or at the page's folder. A name alone is of any file or folder."""
    return any((folder / path).exists() for folder in (ROOT, SOURCE, page.parent)) or path in names()


@pages
def test_each_path_that_a_page_names_is_there(page: Path) -> None:
    named = set(re.findall(rf"(?<![\w./-])(?:{ROOMS})/[\w./-]*[\w/]", code_in(page)))
    for span in spans_in(page):
        if FILE.fullmatch(span) or (re.fullmatch(r"[\w.-]+(/[\w.-]+)*/|[\w-]+(/[\w-]+)*/[\w.-]+\.py", span)):
            named.add(span)
    beside = IN_THE_BUCKET | MADE_BY_PROGRAMS
    here = {name for name in named - beside if not name.startswith((".penstock", ".aws-sam", ".venv"))}
    assert sorted(name for name in here if not is_there(name, page)) == []


@pages
def test_each_make_target_that_a_page_names_is_there(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?<!\w )\bmake (?:\w+=\S+ )*([a-z][a-z-]+)", code_in(page)))
    assert sorted(named - targets) == []


@pages
def test_each_command_that_a_page_names_is_there(page: Path) -> None:
    commands = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]  # the group has them
    named = set(re.findall(r"(?:^|[\s/(`])penstock ([a-z][a-z-]+)", code_in(page), re.MULTILINE))
    assert sorted(named - commands) == []


@pages
def test_each_setting_that_a_page_names_is_there(page: Path) -> None:
    limits = {f"EXTRACT_{each.name.upper()}" for each in fields(ReadLimits)}
    known = {each.name.upper() for each in fields(Settings)} | limits | BESIDE_SETTINGS
    named = set(re.findall(r"\bPENSTOCK_([A-Z][A-Z_]*[A-Z])\b", page.read_text()))
    assert sorted(named - known) == []


@pytest.mark.parametrize("page", LINKED, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_link_within_the_repository_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", prose_of(page)):
        if link.startswith(("http:", "https:")):
            continue
        path, _, heading = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        if heading:
            assert heading in headings_of(target), link


def headings_of(page: Path) -> set[str]:
    """The anchors that GitHub gives a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_state_diagram_shows_the_transition_table() -> None:
    drawn = (ROOT / "ARCHITECTURE.md").read_text().partition("stateDiagram-v2")[2].partition("```")[0]
    edges = re.findall(r"^ *(\w+) --> (\w+)", drawn, re.MULTILINE)
    assert len(edges) == len(set(edges))
    assert set(edges) == {(before.value, after.value) for before, follows in TRANSITIONS.items() for after in follows}


def test_the_table_below_the_diagram_has_each_status_once() -> None:
    states = (ROOT / "ARCHITECTURE.md").read_text().partition("\n## States\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([a-z_, ]+) \| [^|]+ \|$", states, re.MULTILINE)
    named = [name for row in rows for name in row.split(", ")]
    assert sorted(name for name in named if name != "status") == sorted(Status)


def test_the_layers_are_those_that_import_linter_holds() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (held,) = (each["layers"] for each in contracts if each["type"] == "layers")
    assert "```\n" + "\n".join(held) + "\n```" in (ROOT / "ARCHITECTURE.md").read_text()


def test_each_package_and_module_has_its_line_in_the_tree() -> None:
    rooms = "\n".join(re.findall(r"^\| (`[^|]+`) \|", (ROOT / "ARCHITECTURE.md").read_text(), re.MULTILINE))
    there = {f"{path.name}/" for path in SOURCE.iterdir() if (path / "__init__.py").exists()}
    there |= {path.name for path in SOURCE.glob("*.py")} - {"__init__.py"}
    assert sorted(name for name in there if not re.search(rf"[` ]{re.escape(name)}[` ]", rooms)) == []


def test_each_invariant_has_its_row() -> None:
    rows = re.findall(r"^\| (I\d+) \|", (ROOT / "ARCHITECTURE.md").read_text(), re.MULTILINE)
    assert rows == [f"I{number}" for number in range(1, 13)]


def test_each_decision_is_in_the_index_once() -> None:
    folder = ROOT / "docs/decisions"
    listed = re.findall(r"^\| \[\d{4}\]\(([^)]+)\) \|", (folder / "README.md").read_text(), re.MULTILINE)
    assert listed == sorted(path.name for path in folder.glob("0*.md"))


def test_what_make_check_leaves_out_is_there() -> None:
    (left_out,) = re.findall(r"^SLOW := ((?:.*\\\n)*.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert [path for path in left_out.replace("\\", " ").split() if not (ROOT / path).is_file()] == []
