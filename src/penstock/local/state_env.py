"""The environment file of a local stack: the settings of its parts, kept in its state folder for commands that look
there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

_ENV = "env"


def write_environment(state: Path, environment: Mapping[str, str]) -> None:
    """Write the environment variables that every part of the stack gets."""
    (state / _ENV).write_text("".join(f"{name}={value}\n" for name, value in environment.items()))


def read_environment(state: Path) -> dict[str, str]:
    """The variables that were written last. They are empty if no stack has used this folder."""
    try:
        lines = (state / _ENV).read_text().splitlines()
    except FileNotFoundError:
        return {}
    return dict(line.split("=", 1) for line in lines if "=" in line)
