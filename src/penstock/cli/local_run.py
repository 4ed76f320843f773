"""Local run: what `make run` leaves in .penstock/ for the command line, found from the working directory."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from penstock.cli.exits import Exit, Stop
from penstock.local.state_env import read_environment

STATE = Path(".penstock")
TENANT = "local"


@dataclass(frozen=True, slots=True)
class Address:
    """Where the API is, and the key to it."""

    url: str
    key: str


def address() -> Address:
    """By PENSTOCK_URL and PENSTOCK_API_KEY; what is not set there, by the files of the local run.

    Raises:
        Stop: it is in neither.
    """
    url = os.environ.get("PENSTOCK_URL") or _word("url")
    if not url:
        raise Stop(
            "Which Penstock? Set PENSTOCK_URL and PENSTOCK_API_KEY, or start one here with `make run` and call this "
            "in the same folder.",
            Exit.UNREACHABLE,
        )
    # The key of the local run opens no other door, so it is not shown at one.
    key = os.environ.get("PENSTOCK_API_KEY") or (_word("api-key") if url.rstrip("/") == _word("url") else None)
    if not key:
        raise Stop(f"PENSTOCK_API_KEY is not set, and {url} wants a key.", Exit.KEY_REFUSED)
    return Address(url.rstrip("/"), key)


def load_environment() -> bool:
    """Take the settings of the local run into the environment, unless PENSTOCK_TABLE is set already; whether they were
    taken. What else is set stays as it is."""
    left = read_environment(STATE)
    if os.environ.get("PENSTOCK_TABLE") or not left:
        return False
    for name, value in left.items():
        os.environ.setdefault(name, value)
    return True


def tenant_or_local(tenant: str | None) -> str:
    """The tenant that was named; the local run's, where that is what the settings are of.

    Raises:
        Stop: none was named, and this is no local run.
    """
    local = load_environment()
    if tenant is None and not local:
        raise Stop(
            "Which tenant? Set PENSTOCK_TENANT (or --tenant, where a command has it), or call this in the folder of a "
            "local run.",
            Exit.USAGE,
        )
    return TENANT if tenant is None else tenant


def _word(name: str) -> str | None:
    try:
        return (STATE / name).read_text().strip() or None
    except FileNotFoundError:
        return None
