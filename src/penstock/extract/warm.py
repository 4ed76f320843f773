"""Warm: the process with the libraries loaded that a child is forked from for each file. It opens no file itself."""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress

from penstock.extract import child
from penstock.extract.confine import undumpable

FILES = 4
"""File descriptors that come with a request: the child's stdin, stdout and stderr, and the line to its parent."""

_BESIDES = (
    "pypdfium2", "selectolax.lexbor", "zipfile", "pyexpat", "csv", "email.parser", "email.policy",
    "encodings.cp1252", "encodings.utf_16", "encodings.utf_8_sig", "charset_normalizer", "pypdf",
)  # fmt: skip
"""What formats import when they first need it, in the order in which it is worth having. It is loaded while there is
nothing else to do, or one after each file, so that the first does not wait for what it has no use for."""


def main(control: int, parent: int) -> None:
    """Fork a child per request on this socket, until its other end is closed or the parent is gone."""
    undumpable()
    _Warm(socket.socket(fileno=control), parent).run()


class _Warm:
    def __init__(self, control: socket.socket, parent: int) -> None:
        self._control, self._parent = control, parent
        self._lines: dict[int, socket.socket] = {}
        """By the process id of each child that lives."""
        self._unloaded = list(_BESIDES)
        self._woken, self._wake = socket.socketpair()
        for end in (self._woken, self._wake):
            end.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake.fileno())

    def run(self) -> None:
        while True:
            ready = self._wait()
            if self._woken in ready:
                with suppress(BlockingIOError):
                    self._woken.recv(512)
                self._reap()
            for process, line in list(self._lines.items()):
                if line in ready and not _said(line):
                    self._end(process)
            if (self._control in ready and not self._fork()) or os.getppid() != self._parent:
                for process in self._lines:
                    self._end(process)
                return

    def _wait(self) -> Sequence[socket.socket]:
        everything = [self._control, self._woken, *self._lines.values()]
        idle = not self._lines and bool(self._unloaded)
        ready = select.select(everything, [], [], 0 if idle else 5)[0]
        if idle and not ready:
            self._load()
        return ready

    def _load(self) -> None:
        if self._unloaded:
            with suppress(ImportError):
                importlib.import_module(self._unloaded.pop(0))
            gc.collect()
            gc.freeze()  # so that a child's collector does not copy what they share

    def _fork(self) -> bool:
        """False where there are no more requests to come."""
        _, given, _, _ = socket.recv_fds(self._control, 1, FILES)
        if len(given) != FILES:
            return False
        *streams, line = given
        process = os.fork()
        if process == 0:
            self._become_child(streams)
        for stream in streams:
            os.close(stream)
        self._lines[process] = socket.socket(fileno=line)
        _tell(self._lines[process], {"process": process})
        return True

    def _become_child(self, streams: Sequence[int]) -> None:
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setsid()
            for place, stream in enumerate(streams):
                os.dup2(stream, place)
            os.closerange(len(streams), os.sysconf("SC_OPEN_MAX") if sys.platform != "linux" else 1 << 16)
            child.main()
        except BaseException:  # noqa: BLE001 - it may not go on as the one that it was forked from
            traceback.print_exc()
        finally:
            os._exit(1)  # what is to be undone at exit is the other's

    def _reap(self) -> None:
        while self._lines:
            process, status, usage = os.wait4(-1, os.WNOHANG)
            if not process:
                return
            with self._lines.pop(process) as line:
                unit = 1 if sys.platform == "darwin" else 1024
                _tell(line, {"exit": os.waitstatus_to_exitcode(status), "peak": usage.ru_maxrss * unit})
            self._load()

    def _end(self, process: int) -> None:
        for kill in (os.kill, os.killpg):  # it may have no group of its own yet
            with suppress(ProcessLookupError):
                kill(process, signal.SIGKILL)


def _said(line: socket.socket) -> bytes:
    with suppress(OSError):
        return line.recv(1)
    return b""


def _tell(line: socket.socket, what: dict[str, int]) -> None:
    with suppress(OSError):
        line.sendall(json.dumps(what).encode() + b"\n")
