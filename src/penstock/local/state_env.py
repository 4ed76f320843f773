"""Word: what a local stack leaves in its state for those who look there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

_ENV = "env"


def leave_environment(state: Path, environment: Mapping[str, str]) -> None:
    """What every part of the stack was told."""
    (state / _ENV).write_text("".join(f"{name}={value}\n" for name, value in environment.items()))


def left_environment(state: Path) -> dict[str, str]:
    """What was left there; empty where no stack has been."""
    try:
        lines = (state / _ENV).read_text().splitlines()
    except FileNotFoundError:
        return {}
    return dict(line.split("=", 1) for line in lines if "=" in line)
