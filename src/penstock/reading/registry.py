"""The registry loads the modules that read each kind of file. They are heavy, so only the child process loads them."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from penstock.reading.format import Format
from penstock.reading.kinds import KINDS


@cache
def formats() -> tuple[Format, ...]:
    """The format of each kind, in the order of `KINDS`: of two that match a file equally well, the earlier is taken."""
    return tuple(_format_in(kind.module) for kind in KINDS)


def _format_in(module: str) -> Format:
    loaded: Format = import_module(f"penstock.reading.formats.{module}").FORMAT
    return loaded
