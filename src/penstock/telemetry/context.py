"""The log context: facts about the current work that every log line carries."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_facts: ContextVar[dict[str, object] | None] = ContextVar("facts", default=None)


@contextmanager
def log_context(**facts: object) -> Iterator[None]:
    """Add these facts to every line that is logged within this context, in this thread."""
    token = _facts.set({**(_facts.get() or {}), **facts})
    try:
        yield
    finally:
        _facts.reset(token)


def add_log_context(**facts: object) -> None:
    """Add these facts to the log lines from now until the end of the innermost `log_context`. Outside of one, nothing
    happens."""
    current = _facts.get()
    if current is not None:
        current.update(facts)


def facts() -> dict[str, object]:
    """The facts that log lines carry now."""
    return dict(_facts.get() or {})


class Context(logging.Filter):
    """A filter that adds the facts to every log record, and drops none."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.__dict__.update(facts())
        return True
