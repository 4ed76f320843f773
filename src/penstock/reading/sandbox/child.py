"""The child process: the only place where a document's bytes are opened (I11). It asks nothing of its environment."""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from msgspec.structs import replace

from penstock.domain.errors import LimitHit, Permanent, Unreadable
from penstock.reading.limits import ReadLimits, setting_of
from penstock.reading.parts import whole
from penstock.reading.protocol import Contained, Done, Failed, Frame, Opened, Scan, Text, write
from penstock.reading.registry import FORMATS
from penstock.reading.sandbox.confine import allow_time, confine
from penstock.reading.source import Source

_BLOCK = 1 << 16
"""Bytes that are sent together, so that two processes do not take turns page by page."""
_TOGETHER = 0.02
"""Seconds that a page may wait for the next."""


def main(folder: str) -> None:
    """Read requests from stdin, answer each in frames on stdout, and end with the last."""
    os.chdir(folder)
    tempfile.tempdir = folder
    confined = False
    with open(0, "rb") as stdin, open(1, "wb", _BLOCK) as stdout, open(2, "w", encoding="utf-8") as sys.stderr:
        for line in stdin:
            request = json.loads(line)
            limits = request["limits"] = ReadLimits(**request["limits"])
            if not confined:
                confine(limits)
                confined = True
            allow_time(limits.cpu_seconds)
            _tell(stdout, answer(request))
    os._exit(0)


def _tell(stdout: BinaryIO, frames: Iterator[Frame]) -> None:
    told = time.monotonic()
    for frame in frames:
        if isinstance(frame, Done | Failed):
            sys.stderr.flush()
            write(stdout, replace(frame, peak=_peak()))
        else:
            write(stdout, frame)
        if time.monotonic() - told > _TOGETHER:
            stdout.flush()
            told = time.monotonic()
    stdout.flush()


def _peak() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def answer(request: dict[str, Any]) -> Iterator[Frame]:
    """All that there is to say of a file; whatever goes wrong is said in the last frame."""
    limits: ReadLimits = request["limits"]
    try:
        yield from _read(request)
    except Permanent as error:
        yield _failed(error)
    except MemoryError:
        limit = f"{limits.memory_bytes} bytes of memory"
        yield _failed(LimitHit(limit=limit, setting=setting_of("memory_bytes")))
    except Exception as error:  # noqa: BLE001 - a damaged file can make a library raise anything
        traceback.print_exc()
        yield _failed(Unreadable(kind="a document", why=f"the library that read it failed with {type(error).__name__}"))
    else:
        yield Done()


def _read(request: dict[str, Any]) -> Iterator[Frame]:
    limits: ReadLimits = request["limits"]
    place, name, declared = Path(request["path"]), request["name"], request["declared"]
    source = Source(place, name, declared, limits, FORMATS, pictures=request["pictures"], apart=request["apart"])
    last = characters = 0
    for frame in whole(source, request["first_page"]):
        if isinstance(frame, Text | Scan | Contained):
            last = max(last, frame.number)
        if isinstance(frame, Text):
            characters += len(frame.text)
        expected = frame.pages if isinstance(frame, Opened) else last
        if expected > limits.pages:
            raise limits.hit("pages", "pages")
        if characters > limits.chars:
            raise limits.hit("chars", "characters")
        yield frame


def _failed(error: Permanent) -> Failed:
    return Failed(error.code, {name: str(fact) for name, fact in error.facts.items()})
