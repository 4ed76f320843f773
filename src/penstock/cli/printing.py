"""Printing: results go to stdout, for people or as JSON; progress and errors go to stderr."""

from __future__ import annotations

import json
from pathlib import Path

import typer
from rich.console import Console

JSON_HELP = "Print JSON, for programs."
_NO_TERMINAL = 10_000  # columns: a pipe has no width, and must not cut an id in two


def print_json(value: object) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))


def out() -> Console:
    """Where results for people go."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_NO_TERMINAL)


def aside() -> Console:
    """Where progress goes."""
    return Console(stderr=True, highlight=False)


def readable(name: str | Path) -> str:
    """A file's name as text: bytes that are no UTF-8 become question marks."""
    return str(name).encode(errors="replace").decode()
