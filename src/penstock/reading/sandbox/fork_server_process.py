"""The fork server as the process that uses it sees it: it is started here, asked for children, and ended."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import weakref
from collections.abc import Sequence
from pathlib import Path
from tempfile import gettempdir

from penstock.domain.errors import Transient

_START = (
    "import sys; sys.path += sys.argv[4:]; from penstock.reading.sandbox.fork_server import main; main(*sys.argv[1:4])"
)
"""The program of the fork server. The import path is passed as arguments, because neither PYTHONPATH nor the working
directory reach an isolated interpreter. So the fork server finds modules wherever its parent finds them: in Lambda
under /var/task, /opt/python and /var/runtime."""
_ENVIRONMENT = ("LD_LIBRARY_PATH",)
"""The variables that the fork server gets from the parent's environment: where the interpreter itself finds its
libraries. Lambda sets it (AWS Lambda, "Defined runtime environment variables"), and its images need it to find the
folder that has libpython."""
_PATIENCE = 5
"""The time that the fork server has to end by itself, in seconds."""


class ForkServerProcess:
    """A running fork server. It ends when neither the reader nor one of its children refers to this object any
    longer."""

    def __init__(self) -> None:
        """
        Raises:
            Transient: no process can be started.
        """
        self._owner = os.getpid()
        ours, theirs = socket.socketpair()
        import_path = [place for place in sys.path if Path(place).is_absolute()]
        arguments = [str(theirs.fileno()), str(self._owner), gettempdir()]
        with theirs:
            try:
                process = subprocess.Popen(  # noqa: S603 - no argument comes from outside
                    [sys.executable, "-I", "-c", _START, *arguments, *import_path],
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
        """Whether this process started the fork server. A process that was forked from the one that did, did not."""
        return self._owner == os.getpid()

    @property
    def lives(self) -> bool:
        return self._process.poll() is None

    def fork(self, descriptors: Sequence[int]) -> None:
        """Ask for a child with these file descriptors, as `fork_server.FILES` lists them.

        Raises:
            OSError: the fork server is gone.
        """
        socket.send_fds(self._control, [b"f"], descriptors)


def _end(owner: int, control: socket.socket, process: subprocess.Popen[bytes]) -> None:
    """Close the socket, after which the fork server ends by itself, and wait for that."""
    control.close()
    if owner != os.getpid():
        process.returncode = 0  # only the process that started it can wait for it
        return
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:  # a process that was forked from this one holds the socket too
        process.kill()
        process.wait()
