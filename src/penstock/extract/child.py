"""The child process: the only place where a document's bytes are opened (I11). It asks nothing of its environment."""

from __future__ import annotations

import ctypes
import json
import math
import os
import resource
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from penstock.errors import EmptyFile, LimitHit, Permanent, Unreadable
from penstock.extract.detect import HEAD, detect
from penstock.extract.format import Format
from penstock.extract.frames import Done, Failed, Frame, Opened, Text, Warned, write
from penstock.extract.registry import FORMATS

_OPEN_FILES = 64
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Read one request from stdin, answer it in frames on stdout, and end; end at once when stdin does."""
    request = json.loads(sys.stdin.buffer.readline())
    _die_with_parent(sys.stdin.buffer)
    _limit(seconds=request["seconds"], memory=request["memory"])
    for frame in answer(request):
        write(sys.stdout.buffer, frame)


def answer(request: dict[str, Any]) -> Iterator[Frame]:
    """All that there is to say of a file; whatever goes wrong is said in the last frame."""
    try:
        yield from _read(request)
    except Permanent as error:
        yield _failed(error)
    except MemoryError:
        yield _failed(LimitHit(limit=f"{request['memory']} bytes of memory", setting="PENSTOCK_EXTRACT_MEMORY_BYTES"))
    except Exception as error:  # noqa: BLE001 - a damaged file can make a library raise anything
        traceback.print_exc()
        yield _failed(Unreadable(kind="a document", why=f"the library that read it failed with {type(error).__name__}"))
    else:
        yield Done()


def _read(request: dict[str, Any]) -> Iterator[Frame]:
    path = Path(request["path"])
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        raise Unreadable(kind="a file", why=error.strerror or type(error).__name__) from error
    if not head:
        raise EmptyFile
    known, warnings = detect(FORMATS, head, name=request["name"], declared=request["declared"])
    pages = characters = 0
    for frame in _frames(known, path, request["first_page"]):
        if isinstance(frame, Text):
            pages, characters = pages + 1, characters + len(frame.text)
        expected = frame.pages if isinstance(frame, Opened) else pages
        if expected > request["pages"]:
            raise LimitHit(limit=f"{request['pages']} pages", setting="PENSTOCK_EXTRACT_PAGES")
        if characters > request["characters"]:
            raise LimitHit(limit=f"{request['characters']} characters", setting="PENSTOCK_EXTRACT_CHARS")
        yield frame
    yield from map(Warned, warnings)


def _frames(known: Format, path: Path, first_page: int) -> Iterator[Frame]:
    if first_page == 1:
        return known.read(path)
    if known.read_from is None:
        raise Unreadable(kind=known.title, why=f"its reading cannot begin at page {first_page}")
    return known.read_from(path, first_page)


def _failed(error: Permanent) -> Failed:
    return Failed(error.code, {name: str(fact) for name, fact in error.facts.items()})


def _limit(*, seconds: float, memory: int) -> None:
    """What the kernel holds this process to. The parent keeps the wall time; this ends a child that it lost."""
    processor_time = math.ceil(seconds) + 1
    for kind, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_CPU, processor_time),
        (resource.RLIMIT_AS, memory),
    ):
        try:
            resource.setrlimit(kind, (most, most))
        except (OSError, ValueError):
            # macOS takes no limit of the address space; elsewhere a lower limit is in force already.
            continue


def _die_with_parent(stdin: BinaryIO) -> None:
    """The parent never closes its end while it lives. On Linux the kernel watches as well."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    def wait() -> None:
        stdin.read()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


if __name__ == "__main__":
    main()
