"""The reader: has a child process open a file, and passes on what it says page by page (I11)."""

from __future__ import annotations

import json
import logging
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from penstock.chunk import Page, Section
from penstock.errors import (
    EmptyFile,
    LimitHit,
    PasswordRequired,
    Permanent,
    ReaderDied,
    Transient,
    Unreadable,
    UnsupportedType,
)
from penstock.extract.frames import LENGTH_BYTES, LONGEST_FRAME, Done, Failed, Frame, Opened, Text, Warned

_log = logging.getLogger(__name__)

_FRAMES: msgspec.json.Decoder[Frame] = msgspec.json.Decoder(Frame)
_ERRORS: dict[str, type[Permanent]] = {
    kind.code: kind for kind in (EmptyFile, LimitHit, PasswordRequired, Unreadable, UnsupportedType)
}
_START = "import sys; sys.path += sys.argv[1:]; from penstock.extract.child import main; main()"
"""The import path is told, as neither PYTHONPATH nor the working directory reach an isolated interpreter. So the child
finds what its parent does, wherever it lies: in Lambda under /var/task, /opt/python and /var/runtime."""
_ENVIRONMENT = ("LD_LIBRARY_PATH",)
"""What of the parent's environment a child is given: where the interpreter itself finds its libraries. Lambda sets it
(AWS Lambda, "Defined runtime environment variables"), and its images put there the folder that has libpython."""
_LAST_WORDS = 2000
"""Bytes of the child's stderr that are kept for the log."""
_WARNINGS = 100
_PR_SET_DUMPABLE = 4


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """What one file may cost. The names of the settings that hold these numbers are in the errors that users read."""

    seconds: float = 600
    """Of waiting for the child; while the caller is busy with a page, the clock stands."""
    memory: int = 2_000_000_000
    """Bytes of the child's address space."""
    pages: int = 100_000
    characters: int = 500_000_000


class ChildReader:
    """A child process per file: nothing of one document, or of one tenant, is left for the next."""

    def __init__(self, limits: ReadLimits | None = None) -> None:
        self._limits = limits or ReadLimits()

    @contextmanager
    def read(self, path: Path, *, name: str, declared: str | None, first_page: int = 1) -> Iterator[ChildReading]:
        """Leaving the context ends the child, whatever it was doing. On Linux it also ends with the thread that
        started it."""
        with TemporaryDirectory(prefix="penstock-read-") as folder:
            child = _Child(folder, self._limits)
            try:
                yield ChildReading(child, path.absolute(), name, declared, first_page)
            finally:
                child.end()


class ChildReading:
    """One file being read: see ports.Reading."""

    def __init__(self, child: _Child, path: Path, name: str, declared: str | None, first_page: int) -> None:
        self._child = child
        self._request: dict[str, str | int | None] = {
            "path": str(path),
            "name": name,
            "declared": declared,
            "first_page": first_page,
        }
        self._opened = Opened("", "", paged=False)
        self._warnings: list[str] = []

    @property
    def kind(self) -> str:
        return self._opened.kind

    @property
    def engine(self) -> str:
        return self._opened.engine

    @property
    def paged(self) -> bool:
        return self._opened.paged

    @property
    def pages(self) -> int:
        return self._opened.pages

    @property
    def warnings(self) -> Sequence[str]:
        return self._warnings

    @property
    def seeks(self) -> bool:
        return self._opened.seeks

    def __iter__(self) -> Iterator[Page]:
        self._child.ask(self._request)
        while not isinstance(frame := self._child.answer(), Done):
            match frame:
                case Opened():
                    self._opened = frame
                case Text(number, text, sections, problem):
                    yield Page(number, text, tuple(Section(offset, path) for offset, path in sections), problem)
                case Warned(text):
                    self._warn(text)
                case Failed():
                    raise error_of(frame)

    def _warn(self, text: str) -> None:
        if len(self._warnings) < _WARNINGS:
            self._warnings.append(text)


def frame_of(body: bytes) -> Frame:
    """
    Raises:
        ReaderDied: it is no frame. What the child says is not trusted: the file may have taken it over.
    """
    try:
        return _FRAMES.decode(body)
    except ValueError as error:
        raise ReaderDied(why="its answer made no sense") from error


def error_of(failed: Failed) -> Permanent:
    """The error that the child met."""
    try:
        return _ERRORS[failed.code](**failed.facts)
    except (KeyError, TypeError):
        return ReaderDied(why=f"it told of an unknown error, {failed.code!r}")


class _Child:
    """The process, seen from its parent."""

    def __init__(self, folder: str, limits: ReadLimits) -> None:
        self._limits = limits
        self._seconds_left = limits.seconds
        self._heard = bytearray()
        self._last_words = b""
        self._ended = False
        own_path = [place for place in sys.path if Path(place).is_absolute()]
        try:
            self._process = subprocess.Popen(  # noqa: S603 - nothing of it is an outsider's
                [sys.executable, "-I", "-c", _START, *own_path],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=folder,
                env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
                start_new_session=True,
                bufsize=0,
            )
        except OSError as error:
            raise Transient(why=f"no process could be started to read the file ({error.strerror})") from error
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._stdin, self._stdout, self._stderr = self._process.stdin, self._process.stdout, self._process.stderr
        self._pipes = selectors.DefaultSelector()
        self._pipes.register(self._stdout, selectors.EVENT_READ)
        self._pipes.register(self._stderr, selectors.EVENT_READ)

    def ask(self, request: dict[str, str | int | None]) -> None:
        limits = {"seconds": self._limits.seconds, "memory": self._limits.memory}
        limits |= {"pages": self._limits.pages, "characters": self._limits.characters}
        with suppress(BrokenPipeError):  # it died already; listening finds out of what
            self._stdin.write(json.dumps(request | limits).encode() + b"\n")

    def answer(self) -> Frame:
        """The next frame.

        Raises:
            LimitHit: time or memory ran out.
            ReaderDied: it ended in the midst, or made no sense.
        """
        length = int.from_bytes(self._take(LENGTH_BYTES))
        if length > LONGEST_FRAME:
            raise ReaderDied(why=f"it announced an answer of {length} bytes")
        return frame_of(self._take(length))

    def _take(self, count: int) -> bytes:
        while len(self._heard) < count:
            self._listen()
        taken = bytes(self._heard[:count])
        del self._heard[:count]
        return taken

    def _listen(self) -> None:
        """Wait for more of stdout, and keep the end of what comes on stderr."""
        began = time.monotonic()
        ready = self._pipes.select(max(0, self._seconds_left))
        self._seconds_left -= time.monotonic() - began
        if not ready:
            raise LimitHit(limit=f"{self._limits.seconds:g} seconds", setting="PENSTOCK_EXTRACT_SECONDS")
        for key, _ in ready:
            heard = os.read(key.fd, 1 << 16)
            if key.fileobj is self._stderr:
                self._last_words = (self._last_words + heard)[-_LAST_WORDS:]
                if not heard:
                    self._pipes.unregister(self._stderr)
            elif heard:
                self._heard += heard
            else:
                raise self._death()

    def _death(self) -> Permanent:
        """Why it ended without an answer."""
        code, peak = self._reap()
        if code == -signal.SIGXCPU:
            return LimitHit(limit=f"{self._limits.seconds:g} seconds", setting="PENSTOCK_EXTRACT_SECONDS")
        if code < 0 and peak > self._limits.memory // 2:
            limit = f"{self._limits.memory} bytes of memory"
            return LimitHit(limit=limit, setting="PENSTOCK_EXTRACT_MEMORY_BYTES")
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return ReaderDied(why=how)

    def _reap(self) -> tuple[int, int]:
        """Exit code, negative for a signal, and the most bytes that were resident."""
        _, status, usage = os.wait4(self._process.pid, 0)
        self._ended = True
        self._process.returncode = os.waitstatus_to_exitcode(status)
        unit = 1 if sys.platform == "darwin" else 1024
        return self._process.returncode, usage.ru_maxrss * unit

    def end(self) -> None:
        if not self._ended:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._reap()
        if self._last_words:
            _log.warning("The reader's last words: %s", self._last_words.decode(errors="replace"))
        self._pipes.close()
        for pipe in (self._stdin, self._stdout, self._stderr):
            pipe.close()


def undumpable() -> None:
    """Hide this process from others of its user, so that a child that a file took over cannot read its environment or
    memory. For a worker to call when it starts; elsewhere than on Linux it does nothing."""
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415 - only who reads files hides, and all who are wired import this

        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0)
