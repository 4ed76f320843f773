"""The fork server is the process that child processes are forked from, so that each starts with the libraries loaded.
It opens no document itself."""

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

from penstock.reading.registry import formats
from penstock.reading.sandbox import child
from penstock.reading.sandbox.confine import die_with, undumpable

FILES = 4
"""The number of file descriptors in a request: the child's stdin, stdout and stderr, and the server's end of the status
socket, on which it reports the child's process id and exit and whose closing by the other end kills the child."""

_LOADED_LATER = (
    "penstock.reading.formats.pdf.annotations", "penstock.reading.formats.pdf.xfa",
    "selectolax.lexbor", "zipfile", "pyexpat", "csv",
    "email.parser", "email.policy", "encodings.cp1252", "encodings.utf_16", "encodings.utf_8_sig",
    "charset_normalizer", "pypdf", "pypdf.filters",
)  # fmt: skip
"""What formats import when they first need it, the most useful first. The server loads these only while it has nothing
else to do, so that the first file does not wait for libraries that it does not need."""
_LOAD_INTERVAL = 0.2
"""The pause between loading two of them while a child reads, in seconds."""
_CHECK_INTERVAL = 5
"""The maximum time between two checks that the parent lives, in seconds."""


def main(control: str, parent: str, temporary: str) -> None:
    """Fork a child for each request on a socket, until its other end is closed or the parent is gone.

    Args:
        control: the file descriptor of the socket.
        parent: the process id of the parent.
        temporary: the folder in which each child gets a folder of its own.
    """
    undumpable()
    formats()
    with tempfile.TemporaryDirectory(prefix="penstock-read-", dir=temporary, ignore_cleanup_errors=True) as folder:
        _ForkServer(socket.socket(fileno=int(control)), int(parent), Path(folder)).run()


class _ForkServer:
    def __init__(self, control: socket.socket, parent: int, folder: Path) -> None:
        self._control, self._parent, self._folder = control, parent, folder
        self._status_sockets: dict[int, socket.socket] = {}
        """The status socket of each living child, by the child's process id."""
        self._folders: dict[int, str] = {}
        self._unloaded = list(_LOADED_LATER)
        self._child_ended, signalled = socket.socketpair()
        for end in (self._child_ended, signalled):
            end.setblocking(False)
        self._signalled = signalled  # keeps it open
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(signalled.fileno())

    def run(self) -> None:
        while True:
            ready = self._wait()
            if self._child_ended in ready:
                with suppress(BlockingIOError):
                    self._child_ended.recv(512)
                self._reap()
            for process, status_socket in list(self._status_sockets.items()):
                if status_socket in ready and _is_closed(status_socket):
                    self._kill(process)
            if (self._control in ready and not self._fork()) or os.getppid() != self._parent:
                for process in self._status_sockets:
                    self._kill(process)
                    os.waitpid(process, 0)
                return

    def _wait(self) -> Sequence[socket.socket]:
        """Wait for the next event. Libraries that are not loaded yet are loaded meanwhile: without a pause while no
        child lives, and with a pause before each while one does."""
        everything = [self._control, self._child_ended, *self._status_sockets.values()]
        pause = _LOAD_INTERVAL if self._status_sockets else 0
        ready = select.select(everything, [], [], pause if self._unloaded else _CHECK_INTERVAL)[0]
        if self._unloaded and not ready:
            with suppress(ImportError):
                importlib.import_module(self._unloaded.pop(0))
            gc.collect()
            gc.freeze()  # so that a child's collector does not copy the memory that they share
        return ready

    def _fork(self) -> bool:
        """Serve the next request. The answer is False if the other end is closed and no more requests will come."""
        _, descriptors, _, _ = socket.recv_fds(self._control, 1, FILES)
        if len(descriptors) != FILES:
            return False
        *streams, status = descriptors
        folder, own = tempfile.mkdtemp(dir=self._folder), os.getpid()
        process = os.fork()
        if process == 0:
            die_with(own)
            self._become_child(streams, folder)
        self._folders[process] = folder
        for stream in streams:
            os.close(stream)
        self._status_sockets[process] = socket.socket(fileno=status)
        _report(self._status_sockets[process], {"process": process})
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
        except BaseException:  # noqa: BLE001 - the child must never run on as the fork server
            traceback.print_exc()
        finally:
            os._exit(1)  # handlers that run at exit belong to the fork server

    def _reap(self) -> None:
        while self._status_sockets:
            process, status, usage = os.wait4(-1, os.WNOHANG)
            if not process:
                return
            shutil.rmtree(self._folders.pop(process), ignore_errors=True)
            with self._status_sockets.pop(process) as status_socket:
                unit = 1 if sys.platform == "darwin" else 1024
                _report(status_socket, {"exit": os.waitstatus_to_exitcode(status), "peak": usage.ru_maxrss * unit})

    def _kill(self, process: int) -> None:
        for kill in (os.kill, os.killpg):  # a child that has just been forked has no process group of its own yet
            with suppress(ProcessLookupError):
                kill(process, signal.SIGKILL)


def _is_closed(status_socket: socket.socket) -> bool:
    with suppress(OSError):
        return not status_socket.recv(1)
    return True


def _report(status_socket: socket.socket, message: dict[str, int]) -> None:
    with suppress(OSError):
        status_socket.sendall(json.dumps(message).encode() + b"\n")
