"""The local run: the address, key and settings that `make run` writes to .penstock/ in the working directory."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from penstock.cli.exits import CommandError, Exit
from penstock.local.state_env import read_environment

STATE = Path(".penstock")
TENANT = "local"


@dataclass(frozen=True, slots=True)
class Address:
    """The URL of the API, and the key for it."""

    url: str
    key: str


def address() -> Address:
    """The address from PENSTOCK_URL and PENSTOCK_API_KEY. What is not set comes from the files of the local run.

    Raises:
        CommandError: neither has it.
    """
    url = os.environ.get("PENSTOCK_URL") or _state_file("url")
    if not url:
        raise CommandError(
            "The address of Penstock is not known. Set PENSTOCK_URL and PENSTOCK_API_KEY, or start it here with "
            "`make run` and call this command in the same folder.",
            Exit.UNREACHABLE,
        )
    # The key of the local run is not valid anywhere else, so it is not sent anywhere else.
    key = os.environ.get("PENSTOCK_API_KEY") or (
        _state_file("api-key") if url.rstrip("/") == _state_file("url") else None
    )
    if not key:
        raise CommandError(f"PENSTOCK_API_KEY is not set, and {url} needs a key.", Exit.KEY_REFUSED)
    return Address(url.rstrip("/"), key)


def load_environment() -> bool:
    """Load the settings of the local run into the environment, unless PENSTOCK_TABLE is set already. Variables that are
    set keep their values. False if nothing was loaded."""
    settings = read_environment(STATE)
    if os.environ.get("PENSTOCK_TABLE") or not settings:
        return False
    for name, value in settings.items():
        os.environ.setdefault(name, value)
    return True


def tenant_or_local(tenant: str | None) -> str:
    """The given tenant. Without one, the tenant of the local run, if the settings come from it.

    Raises:
        CommandError: no tenant is given, and the settings do not come from a local run.
    """
    local = load_environment()
    if tenant is None and not local:
        raise CommandError(
            "The tenant is not known. Set PENSTOCK_TENANT (or --tenant, if the command has it), or call this in the "
            "folder of a local run.",
            Exit.USAGE,
        )
    return TENANT if tenant is None else tenant


def _state_file(name: str) -> str | None:
    try:
        return (STATE / name).read_text().strip() or None
    except FileNotFoundError:
        return None
