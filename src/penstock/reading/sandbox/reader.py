"""The reader: has a child process open a file, and passes on what it says page by page (I11)."""

from __future__ import annotations

import json
import logging
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from tempfile import gettempdir
from threading import Lock
from typing import Any

import msgspec

from penstock.domain.chunk import Page, Section
from penstock.domain.errors import (
    EmptyFile,
    LimitHit,
    PasswordRequired,
    Permanent,
    ReaderDied,
    Transient,
    Unreadable,
    UnsupportedType,
)
from penstock.domain.ids import TenantId
from penstock.ports import Member, OnMember, Picture, Recognizer
from penstock.reading.limits import ReadLimits
from penstock.reading.protocol import (
    LENGTH_BYTES,
    LONGEST_FRAME,
    Contained,
    Done,
    Failed,
    Frame,
    Opened,
    Piece,
    Scan,
    Text,
    Warned,
)
from penstock.reading.text.characters import legible

_log = logging.getLogger(__name__)

_FRAMES: msgspec.json.Decoder[Frame] = msgspec.json.Decoder(Frame)
_ERRORS: dict[str, type[Permanent]] = {
    kind.code: kind for kind in (EmptyFile, LimitHit, PasswordRequired, Unreadable, UnsupportedType)
}
_START = (
    "import sys; sys.path += sys.argv[4:]; from penstock.reading.sandbox.fork_server import main; main(*sys.argv[1:4])"
)
"""The import path is told, as neither PYTHONPATH nor the working directory reach an isolated interpreter. So the warm
process finds what its parent does, wherever it lies: in Lambda under /var/task, /opt/python and /var/runtime."""
_ENVIRONMENT = ("LD_LIBRARY_PATH",)
"""What of the parent's environment it is given: where the interpreter itself finds its libraries. Lambda sets it
(AWS Lambda, "Defined runtime environment variables"), and its images put there the folder that has libpython."""
_LAST_WORDS = 2000
"""Bytes of the child's stderr that are kept for the log."""
_WARNINGS = 100
_PATIENCE = 5
"""Seconds that the warm process has to end by itself."""
_PIPE = 1 << 20
"""Bytes that the child may be ahead, where the system lets a pipe hold as many."""
_BLOCK = 1 << 16
"""Bytes of it that are taken at a time."""
_LARGE = 4
"""A child that held more than this part of its memory leaves the next file too little of it to be sure of."""


class ChildReader:
    """A child process that reads one file after the other, of one tenant only, so that nothing of a tenant is left for
    another; it is replaced after so many files, and on any limit. Children are forked from
    a warm process with the libraries loaded. Threads may share a reader."""

    def __init__(self, limits: ReadLimits | None = None, recognizer: Recognizer | None = None) -> None:
        """`recognizer`: for pages of PDFs that have no text; without one they are told as such."""
        self._limits = limits or ReadLimits()
        self._told_limits = asdict(self._limits)
        self._recognizer = recognizer
        self._lock = Lock()
        self._warm: _Warm | None = None
        self._idle: list[_Child] = []
        """The child that the next file of its tenant is for, where there is one."""
        weakref.finalize(self, _end_all, self._idle)

    @property
    def still_warm(self) -> bool:
        """Whether the process that children are forked from lives."""
        return self._warm is not None and self._warm.lives

    @contextmanager
    def read(
        self,
        path: Path,
        *,
        name: str,
        declared: str | None,
        first_page: int = 1,
        tenant: TenantId | None = None,
        take: OnMember | None = None,
    ) -> Iterator[ChildReading]:
        """Leaving the context before all was read ends the child, whatever it was doing."""
        child = self._taken(tenant)
        try:
            child.ask(
                {
                    "path": str(path.absolute()),
                    "name": name,
                    "declared": declared,
                    "first_page": first_page,
                    "limits": self._told_limits,
                    "pictures": self._recognizer is not None,
                    "apart": take is not None,
                }
            )
            yield ChildReading(child, self._recognizer, take)
        finally:
            self._give_back(child)

    def _taken(self, tenant: TenantId | None) -> _Child:
        """
        Raises:
            Transient: no process can be started.
        """
        with self._lock:
            child = self._idle.pop() if self._idle else None
            if child is not None:
                if child.tenant == tenant and child.waits:
                    return child
                child.end()
            if self._warm is None or not self._warm.ours or not self._warm.lives:
                self._warm = _Warm()
            try:
                return _Child(self._limits, tenant, self._warm)
            except OSError as error:  # something ended it
                self._warm = None
                raise Transient(why="the process that opens files was ended") from error

    def _give_back(self, child: _Child) -> None:
        with self._lock:
            if child.may_go_on and not self._idle:
                self._idle.append(child)
                return
        child.end()


def _end_all(children: list[_Child]) -> None:
    while children:
        children.pop().end()


class ChildReading:
    """One file being read: see ports.Reading."""

    def __init__(self, child: _Child, recognizer: Recognizer | None = None, take: OnMember | None = None) -> None:
        self._child, self._recognizer, self._take = child, recognizer, take
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
    def peak(self) -> int:
        """The most bytes that were resident in the child, of all that it has read; known once all was read, or the
        reading was left."""
        return self._child.peak

    @property
    def seeks(self) -> bool:
        return self._opened.seeks

    def __iter__(self) -> Iterator[Page]:
        while not isinstance(frame := self._child.answer(), Done):
            match frame:
                case Opened():
                    self._opened = frame
                case Text(number, text, sections, problem):
                    yield Page(number, text, tuple(Section(offset, path) for offset, path in sections), problem)
                case Scan():
                    yield self._recognized(frame)
                case Contained():
                    self._hand_over(frame)
                case Piece():
                    raise ReaderDied(why="its answer made no sense")
                case Warned(text):
                    self._warn(text)
                case Failed():
                    raise error_of(frame)

    def _hand_over(self, file: Contained) -> None:
        if self._take is None or not file.path or file.size < 0:
            raise ReaderDied(why="its answer made no sense")
        content = self._pieces(file.size)
        self._take(Member(file.number, file.path, file.media_type, file.size, content))
        for _ in content:
            pass  # what was not wanted of it

    def _pieces(self, size: int) -> Iterator[bytes]:
        left = size
        while left > 0:
            frame = self._child.answer()
            if not isinstance(frame, Piece) or not 0 < len(frame.content) <= left:
                raise ReaderDied(why="its answer made no sense")
            left -= len(frame.content)
            yield frame.content

    def _recognized(self, scan: Scan) -> Page:
        """
        Raises:
            ReaderDied: it is no picture.
            Transient: the recognizer does not answer.
        """
        if self._recognizer is None or scan.width < 1 or not 0 < len(scan.pixels) == scan.width * scan.height:
            raise ReaderDied(why="its answer made no sense")
        try:
            text = legible(self._recognizer.recognize(Picture(scan.width, scan.height, scan.pixels))).strip()
        except Permanent as error:
            return Page(scan.number, "", problem=f"it has no text, and none was recognized: {error}".rstrip("."))
        if text:
            self._warn(f"The text of page {scan.number} was recognized in its picture.")
        return Page(scan.number, text)

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


class _Warm:
    """The process that children are forked from, seen from its parent. It ends when it is no longer referred to, by the
    reader or by a child of its."""

    def __init__(self) -> None:
        self._owner = os.getpid()
        ours, theirs = socket.socketpair()
        own_path = [place for place in sys.path if Path(place).is_absolute()]
        told = [str(theirs.fileno()), str(self._owner), gettempdir()]
        with theirs:
            try:
                process = subprocess.Popen(  # noqa: S603 - nothing of it is an outsider's
                    [sys.executable, "-I", "-c", _START, *told, *own_path],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                )
            except OSError as error:
                ours.close()
                why = f"no process could be started to read the file ({error.strerror})"
                raise Transient(why=why) from error
        self._control, self._process = ours, process
        self._end = weakref.finalize(self, _end, self._owner, ours, process)

    @property
    def ours(self) -> bool:
        """Not of the process that this one was forked from."""
        return self._owner == os.getpid()

    @property
    def lives(self) -> bool:
        return self._process.poll() is None

    def fork(self, streams: Sequence[int]) -> None:
        """
        Raises:
            OSError: the process is gone.
        """
        socket.send_fds(self._control, [b"f"], streams)


def _end(owner: int, control: socket.socket, process: subprocess.Popen[bytes]) -> None:
    """It ends by itself once the socket is closed."""
    control.close()
    if owner != os.getpid():
        process.returncode = 0  # another's to wait for
        return
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:  # a fork of this process holds the socket too
        process.kill()
        process.wait()


class _Child:
    """The process that reads files of one tenant, seen from its parent."""

    def __init__(self, limits: ReadLimits, tenant: TenantId | None, warm: _Warm) -> None:
        """
        Raises:
            OSError: the warm process is gone.
        """
        self.tenant = tenant
        self.peak = 0
        self._warm, self._limits = warm, limits
        self._files = 0
        self._finished = True
        self._seconds_left = 0.0
        self._heard = bytearray()
        self._last_words = b""
        their_stdin, self._stdin = os.pipe()
        self._stdout, their_stdout = os.pipe()
        self._stderr, their_stderr = os.pipe()
        self._line, their_line = socket.socketpair()
        self._told: Iterator[dict[str, int]] = map(json.loads, self._line.makefile("rb"))
        self._widen()
        self._pipes = selectors.DefaultSelector()
        self._pipes.register(self._stdout, selectors.EVENT_READ)
        self._pipes.register(self._stderr, selectors.EVENT_READ)
        try:
            warm.fork([their_stdin, their_stdout, their_stderr, their_line.fileno()])
        except OSError:
            self._close()
            raise
        finally:
            for each in (their_stdin, their_stdout, their_stderr):
                os.close(each)
            their_line.close()

    def _widen(self) -> None:
        if sys.platform == "linux":
            import fcntl  # noqa: PLC0415

            with suppress(OSError):  # an ordinary user's pipes may be smaller in all
                fcntl.fcntl(self._stdout, fcntl.F_SETPIPE_SZ, _PIPE)

    @property
    def waits(self) -> bool:
        """For another file: it is ours, it lives, and it says nothing unasked."""
        return self._warm.ours and not self._pipes.select(0)

    @property
    def may_go_on(self) -> bool:
        """With another file. What ran into a limit, was left in the midst, or held much memory, may not."""
        return (
            self._finished
            and not self._heard
            and self._files < self._limits.warm_files
            and self.peak <= self._limits.memory_bytes // _LARGE
        )

    def ask(self, request: dict[str, Any]) -> None:
        self._files += 1
        self._finished = False
        self._seconds_left = self._limits.seconds
        with suppress(BrokenPipeError):  # it died already; listening finds out of what
            os.write(self._stdin, json.dumps(request).encode() + b"\n")

    @cached_property
    def process(self) -> int:
        """Its process id."""
        return next(self._told)["process"]

    def answer(self) -> Frame:
        """The next frame.

        Raises:
            LimitHit: time or memory ran out.
            ReaderDied: it ended in the midst, or made no sense.
        """
        length = int.from_bytes(self._take(LENGTH_BYTES))
        if length > LONGEST_FRAME:
            raise ReaderDied(why=f"it announced an answer of {length} bytes")
        frame = frame_of(self._take(length))
        if isinstance(frame, Done | Failed):
            self.peak = frame.peak
            self._finished = isinstance(frame, Done) or frame.code != LimitHit.code
            self._repeat_last_words()
        return frame

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
            raise self._limits.hit("seconds", "seconds")
        for key, _ in ready:
            if key.fd == self._stderr:
                self._listen_to_words()
            elif heard := os.read(key.fd, _BLOCK):
                self._heard += heard
            else:
                raise self._death()

    def _listen_to_words(self) -> None:
        heard = os.read(self._stderr, _BLOCK)
        self._last_words = (self._last_words + heard)[-_LAST_WORDS:]
        if not heard:
            self._pipes.unregister(self._stderr)

    def _repeat_last_words(self) -> None:
        """In the log: those of this file."""
        if any(key.fd == self._stderr for key, _ in self._pipes.select(0)):
            self._listen_to_words()
        if self._last_words:
            _log.warning("The reader's last words: %s", self._last_words.decode(errors="replace"))
        self._last_words = b""

    def _death(self) -> Permanent | Transient:
        """Why it ended without an answer."""
        code = self._listen_for_end()
        if code is None:
            return Transient(why="the process that opens files was ended")
        if code == -signal.SIGXCPU:
            return self._limits.hit("cpu_seconds", "seconds of processor time")
        if code < 0 and self.peak > self._limits.memory_bytes // 2:
            return self._limits.hit("memory_bytes", "bytes of memory")
        return ReaderDied(why=f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}")

    def _listen_for_end(self) -> int | None:
        """Its exit code, negative for a signal; None where nobody is there to tell."""
        for told in self._told:
            if "exit" in told:
                self.peak = told["peak"]
                return told["exit"]
        return None

    def end(self) -> None:
        """Have it killed, if it lives, and wait until it is gone."""
        if self._warm.ours:
            with suppress(OSError):
                self._line.shutdown(socket.SHUT_WR)
            self._listen_for_end()
        if not self._finished:
            self._repeat_last_words()
        self._close()

    def _close(self) -> None:
        self._pipes.close()
        self._line.close()
        for pipe in (self._stdin, self._stdout, self._stderr):
            os.close(pipe)
