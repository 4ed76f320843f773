"""A child process as its parent sees it: files are sent to it one after the other, and frames come back."""

from __future__ import annotations

import json
import logging
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from typing import Any

import msgspec

from penstock.domain.errors import LimitHit, Permanent, ReaderDied, Transient
from penstock.domain.ids import TenantId
from penstock.reading.limits import ReadLimits
from penstock.reading.protocol import LENGTH_BYTES, LONGEST_FRAME, Done, Failed, Frame
from penstock.reading.sandbox.fork_server_process import ForkServerProcess

_log = logging.getLogger(__name__)

_FRAMES: msgspec.json.Decoder[Frame] = msgspec.json.Decoder(Frame)
_STDERR_TAIL = 2000
"""The number of bytes at the end of the child's stderr that are kept for the log."""
_PIPE = 1 << 20
"""The size of the pipe from the child, in bytes, if the system allows it: so much the child may be ahead."""
_BLOCK = 1 << 16
"""The maximum number of bytes that are taken from a pipe at a time."""
_REUSABLE_SHARE = 4
"""A child is not used again if it held more than its memory limit divided by this number: the rest might be too little
for the next file."""


class ChildProcess:
    """A process that reads files of one tenant."""

    def __init__(self, limits: ReadLimits, tenant: TenantId | None, fork_server: ForkServerProcess) -> None:
        """
        Raises:
            OSError: the fork server is gone.
        """
        self.tenant = tenant
        self.peak = 0
        """The maximum number of bytes that were resident in the child. It is known once a file has been read."""
        self._fork_server, self._limits = fork_server, limits
        self._files = 0
        self._finished = True
        self._seconds_left = 0.0
        self._buffer = bytearray()
        self._stderr_tail = b""
        their_stdin, self._stdin = os.pipe()
        self._stdout, their_stdout = os.pipe()
        self._stderr, their_stderr = os.pipe()
        self._status_socket, their_status_socket = socket.socketpair()
        self._statuses: Iterator[dict[str, int]] = map(json.loads, self._status_socket.makefile("rb"))
        self._widen_pipe()
        self._pipes = selectors.DefaultSelector()
        self._pipes.register(self._stdout, selectors.EVENT_READ)
        self._pipes.register(self._stderr, selectors.EVENT_READ)
        try:
            fork_server.fork([their_stdin, their_stdout, their_stderr, their_status_socket.fileno()])
        except OSError:
            self._close()
            raise
        finally:
            for each in (their_stdin, their_stdout, their_stderr):
                os.close(each)
            their_status_socket.close()

    def _widen_pipe(self) -> None:
        if sys.platform == "linux":
            import fcntl  # noqa: PLC0415

            with suppress(OSError):  # the pipes of an ordinary user have a maximum size in total
                fcntl.fcntl(self._stdout, fcntl.F_SETPIPE_SZ, _PIPE)

    @property
    def ready(self) -> bool:
        """Whether the child can take another file: this process started it, it lives, and it sends nothing unasked."""
        return self._fork_server.ours and not self._pipes.select(0)

    @property
    def reusable(self) -> bool:
        """Whether the child may read another file. It may not if it hit a limit, if reading was left before its end, or
        if it held much memory."""
        return (
            self._finished
            and not self._buffer
            and self._files < self._limits.warm_files
            and self.peak <= self._limits.memory_bytes // _REUSABLE_SHARE
        )

    def send(self, request: dict[str, Any]) -> None:
        """Ask for the frames of a file."""
        self._files += 1
        self._finished = False
        self._seconds_left = self._limits.seconds
        with suppress(BrokenPipeError):  # the child is dead already, and `next_frame` finds out why
            os.write(self._stdin, json.dumps(request).encode() + b"\n")

    @cached_property
    def pid(self) -> int:
        """The process id."""
        return next(self._statuses)["process"]

    def next_frame(self) -> Frame:
        """Wait for the next frame.

        Raises:
            LimitHit: time or memory ran out.
            ReaderDied: the child ended before its last frame, or sent something that is no frame.
        """
        length = int.from_bytes(self._take(LENGTH_BYTES))
        if length > LONGEST_FRAME:
            raise ReaderDied(why=f"it announced an answer of {length} bytes")
        frame = frame_of(self._take(length))
        if isinstance(frame, Done | Failed):
            self.peak = frame.peak
            self._finished = isinstance(frame, Done) or frame.code != LimitHit.code
            self._log_stderr()
        return frame

    def _take(self, count: int) -> bytes:
        while len(self._buffer) < count:
            self._receive()
        block = bytes(self._buffer[:count])
        del self._buffer[:count]
        return block

    def _receive(self) -> None:
        """Wait for more on stdout, and keep the end of what comes on stderr."""
        started = time.monotonic()
        ready = self._pipes.select(max(0, self._seconds_left))
        self._seconds_left -= time.monotonic() - started
        if not ready:
            raise self._limits.hit("seconds", "seconds")
        for key, _ in ready:
            if key.fd == self._stderr:
                self._receive_stderr()
            elif block := os.read(key.fd, _BLOCK):
                self._buffer += block
            else:
                raise self._cause_of_death()

    def _receive_stderr(self) -> None:
        block = os.read(self._stderr, _BLOCK)
        self._stderr_tail = (self._stderr_tail + block)[-_STDERR_TAIL:]
        if not block:
            self._pipes.unregister(self._stderr)

    def _log_stderr(self) -> None:
        """Log what the child wrote to stderr while it read the present file."""
        if any(key.fd == self._stderr for key, _ in self._pipes.select(0)):
            self._receive_stderr()
        if self._stderr_tail:
            _log.warning("The child process wrote to stderr: %s", self._stderr_tail.decode(errors="replace"))
        self._stderr_tail = b""

    def _cause_of_death(self) -> Permanent | Transient:
        code = self._wait_for_exit()
        if code is None:
            return Transient(why="the process that opens files was ended")
        if code == -signal.SIGXCPU:
            return self._limits.hit("cpu_seconds", "seconds of processor time")
        if code < 0 and self.peak > self._limits.memory_bytes // 2:
            return self._limits.hit("memory_bytes", "bytes of memory")
        return ReaderDied(why=f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}")

    def _wait_for_exit(self) -> int | None:
        """The exit code, which is negative for a signal. It is None if the fork server, which reports it, is gone."""
        for status in self._statuses:
            if "exit" in status:
                self.peak = status["peak"]
                return status["exit"]
        return None

    def end(self) -> None:
        """Have the child killed, if it lives, and wait until it is gone."""
        if self._fork_server.ours:
            with suppress(OSError):
                self._status_socket.shutdown(socket.SHUT_WR)
            self._wait_for_exit()
        if not self._finished:
            self._log_stderr()
        self._close()

    def _close(self) -> None:
        self._pipes.close()
        self._status_socket.close()
        for pipe in (self._stdin, self._stdout, self._stderr):
            os.close(pipe)


def frame_of(body: bytes) -> Frame:
    """The frame in this JSON. It is checked strictly, because a file may have taken over the child that sent it.

    Raises:
        ReaderDied: it is no frame.
    """
    try:
        return _FRAMES.decode(body)
    except ValueError as error:
        raise ReaderDied(why="its answer made no sense") from error
