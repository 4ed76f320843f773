"""Printing: results go to stdout, for people or as JSON; progress and errors go to stderr."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
_PIPE_COLUMNS = 10_000
"""The width of the output if it is no terminal. A pipe has no width, and an id must not be cut in two."""


def print_json(value: object) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))


def out() -> Console:
    """The console for results, which writes to stdout."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_PIPE_COLUMNS)


def aside() -> Console:
    """The console for progress and remarks, which writes to stderr."""
    return Console(stderr=True, highlight=False)


def readable(name: str | Path) -> str:
    """A file's name as text. Bytes that are not UTF-8 become question marks."""
    return str(name).encode(errors="replace").decode()


def counted(counts: Mapping[str, int]) -> str:
    """Counts by name as words: "3 indexed, 1 failed"."""
    return ", ".join(f"{count} {name}" for name, count in counts.items())
