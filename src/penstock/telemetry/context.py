"""Log context: what every line of a log says of the work that it is about."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_about: ContextVar[dict[str, object] | None] = ContextVar("about", default=None)


@contextmanager
def about(**facts: object) -> Iterator[None]:
    """Lines that are logged in this context, and thread, carry these facts."""
    token = _about.set({**(_about.get() or {}), **facts})
    try:
        yield
    finally:
        _about.reset(token)


def also(**facts: object) -> None:
    """From here on to the end of the innermost `about` lines carry these facts too; outside of one, nothing happens."""
    known = _about.get()
    if known is not None:
        known.update(facts)


def facts() -> dict[str, object]:
    """What lines carry now."""
    return dict(_about.get() or {})


class Context(logging.Filter):
    """Lets every line pass, and gives it the facts."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.__dict__.update(facts())
        return True
