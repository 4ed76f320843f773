"""Log context: what every line of a log says of the work that it is about."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_about: ContextVar[dict[str, object] | None] = ContextVar("about", default=None)


@contextmanager
def log_context(**facts: object) -> Iterator[None]:
    """Lines that are logged in this context, and thread, carry these facts."""
    token = _about.set({**(_about.get() or {}), **facts})
    try:
        yield
    finally:
        _about.reset(token)


def add_log_context(**facts: object) -> None:
    """Log lines carry these facts too, from here to the end of the innermost `log_context`. Outside of one, nothing
    happens."""
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
