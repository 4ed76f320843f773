"""The child process is the only place where a document's bytes are opened (I11). It uses nothing of its environment."""

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
from penstock.reading.parts import read_whole
from penstock.reading.protocol import Contained, Done, Failed, Frame, Opened, Scan, Text, write
from penstock.reading.sandbox.confine import allow_time, confine
from penstock.reading.source import Source

_BLOCK = 1 << 16
"""The number of bytes that are sent together, so that the two processes do not take turns page by page."""
_MAX_DELAY = 0.02
"""The maximum time that a page waits to be sent together with the next, in seconds."""


def main(folder: str) -> None:
    """Read requests from stdin, answer each with frames on stdout, and end when stdin ends."""
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
            _send(stdout, answer(request))
    os._exit(0)


def _send(stdout: BinaryIO, frames: Iterator[Frame]) -> None:
    flushed = time.monotonic()
    for frame in frames:
        if isinstance(frame, Done | Failed):
            sys.stderr.flush()
            write(stdout, replace(frame, peak=_peak()))
        else:
            write(stdout, frame)
        if time.monotonic() - flushed > _MAX_DELAY:
            stdout.flush()
            flushed = time.monotonic()
    stdout.flush()


def _peak() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def answer(request: dict[str, Any]) -> Iterator[Frame]:
    """Yield the frames of a file. Whatever goes wrong is reported in the last frame."""
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
    source = Source(place, name, declared, limits, pictures=request["pictures"], apart=request["apart"])
    last = characters = 0
    for frame in read_whole(source, request["first_page"]):
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
