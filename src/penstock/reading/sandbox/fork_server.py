"""Warm: the process with the libraries loaded that children are forked from. It opens no file itself."""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import shutil
import signal
import socket
import sys
import tempfile
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from penstock.reading.sandbox import child
from penstock.reading.sandbox.confine import die_with, undumpable

FILES = 4
"""File descriptors that come with a request: the child's stdin, stdout and stderr, and the line to its parent."""

_BESIDES = (
    "penstock.reading.formats.pdf.annotations", "penstock.reading.formats.pdf.xfa",
    "selectolax.lexbor", "zipfile", "pyexpat", "csv",
    "email.parser", "email.policy", "encodings.cp1252", "encodings.utf_16", "encodings.utf_8_sig",
    "charset_normalizer", "pypdf", "pypdf.filters",
)  # fmt: skip
"""What formats import when they first need it, in the order in which it is worth having: so the first file does not
wait for what it has no use for."""
_BESIDE_A_CHILD = 0.2
"""Seconds between two of them while a child lives."""


def main(control: str, parent: str, temporary: str) -> None:
    """Fork a child per request on this socket, until its other end is closed or the parent is gone.

    Args:
        temporary: where each child gets a folder of its own.
    """
    undumpable()
    with tempfile.TemporaryDirectory(prefix="penstock-read-", dir=temporary, ignore_cleanup_errors=True) as folder:
        _Warm(socket.socket(fileno=int(control)), int(parent), Path(folder)).run()


class _Warm:
    def __init__(self, control: socket.socket, parent: int, folder: Path) -> None:
        self._control, self._parent, self._folder = control, parent, folder
        self._lines: dict[int, socket.socket] = {}
        """By the process id of each child that lives."""
        self._folders: dict[int, str] = {}
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
                    os.waitpid(process, 0)
                return

    def _wait(self) -> Sequence[socket.socket]:
        """Meanwhile, load what is not loaded yet: at once while nobody reads, else bit by bit beside the reader."""
        everything = [self._control, self._woken, *self._lines.values()]
        pause = _BESIDE_A_CHILD if self._lines else 0
        ready = select.select(everything, [], [], pause if self._unloaded else 5)[0]
        if self._unloaded and not ready:
            with suppress(ImportError):
                importlib.import_module(self._unloaded.pop(0))
            gc.collect()
            gc.freeze()  # so that a child's collector does not copy what they share
        return ready

    def _fork(self) -> bool:
        """False where there are no more requests to come."""
        _, given, _, _ = socket.recv_fds(self._control, 1, FILES)
        if len(given) != FILES:
            return False
        *streams, line = given
        folder, own = tempfile.mkdtemp(dir=self._folder), os.getpid()
        process = os.fork()
        if process == 0:
            die_with(own)
            self._become_child(streams, folder)
        self._folders[process] = folder
        for stream in streams:
            os.close(stream)
        self._lines[process] = socket.socket(fileno=line)
        _tell(self._lines[process], {"process": process})
        return True

    def _become_child(self, streams: Sequence[int], folder: str) -> None:
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setsid()
            for place, stream in enumerate(streams):
                os.dup2(stream, place)
            os.closerange(len(streams), os.sysconf("SC_OPEN_MAX") if sys.platform != "linux" else 1 << 16)
            child.main(folder)
        except BaseException:  # noqa: BLE001 - it may not go on as the one that it was forked from
            traceback.print_exc()
        finally:
            os._exit(1)  # what is to be undone at exit is the other's

    def _reap(self) -> None:
        while self._lines:
            process, status, usage = os.wait4(-1, os.WNOHANG)
            if not process:
                return
            shutil.rmtree(self._folders.pop(process), ignore_errors=True)
            with self._lines.pop(process) as line:
                unit = 1 if sys.platform == "darwin" else 1024
                _tell(line, {"exit": os.waitstatus_to_exitcode(status), "peak": usage.ru_maxrss * unit})

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
