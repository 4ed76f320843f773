"""The environment of this process, which what is under test may change."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def environment_as_it_was() -> Iterator[None]:
    """Whatever is set or unset within is undone at the end."""
    before = dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
