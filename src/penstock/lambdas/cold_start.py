"""Cold start: what a function makes once, at its first event, without collecting garbage until then.

A cold start makes objects that stay. Looking for garbage among them takes a sixth of its time, so nothing is collected
until all of them are made, and they are never looked at again. Every handler imports this module before any other.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from functools import cache, wraps
from typing import TypeVar

T = TypeVar("T")

if "AWS_LAMBDA_RUNTIME_API" in os.environ:  # handlers are imported elsewhere too, by what has garbage
    gc.disable()


def per_container(make: Callable[[], T]) -> Callable[[], T]:
    """`make`, done once per container: at its first event, not at import (I9)."""

    @cache
    @wraps(make)
    def made() -> T:
        try:
            result = make()
            gc.freeze()
        finally:  # a start that failed is tried again by the next event, and leaves garbage
            gc.enable()
        return result

    return made
