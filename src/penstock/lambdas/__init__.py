"""Lambda's doors: each handler translates an event, calls one verb and translates back.

A container's start makes what stays: to look for garbage in it is a sixth of the start's time, so that nothing is
collected until all is made, and none of that ever after.
"""

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
