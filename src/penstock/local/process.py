"""Child processes: starting a server with its output in a log, and ending it, at the latest with its parent."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

_PR_SET_PDEATHSIG = 1


def start(
    command: Sequence[str | Path],
    environment: Mapping[str, str],
    log: Path,
    *,
    folder: Path | None = None,
    user: int | None = None,
) -> subprocess.Popen[bytes]:
    """Start a process whose output is appended to the log.

    It leads a process group of its own, so Ctrl-C in a terminal does not reach it: its starter ends it, in order.

    Args:
        folder: its working directory. None keeps that of this process.
        user: the user and the group that it runs as. None keeps those of this process.
    """
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603 - no shell, and nothing a user typed
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # SIGTERM and not SIGKILL: servers save their state when they are asked to end.
            preexec_fn=die_with_parent(),  # noqa: PLW1509 - sets one kernel flag and takes no lock
            user=user,
            group=user,
            extra_groups=None if user is None else [],
        )


def die_with_parent(by: signal.Signals = signal.SIGTERM) -> Callable[[], None]:
    """A `preexec_fn` for Popen: the kernel sends the child this signal when its parent ends, however it ends.

    Only Linux can do that; elsewhere the child outlives a parent that is killed. The "parent" is the thread that calls
    Popen, so start children from a thread that lives as long as they should.
    """
    if sys.platform != "linux":
        return lambda: None
    prctl = ctypes.CDLL(None, use_errno=True).prctl  # looked up before the fork: after it, no lock can be trusted
    parent = os.getpid()

    def before_exec() -> None:
        prctl(_PR_SET_PDEATHSIG, by)
        if os.getppid() != parent:  # the parent ended before it could be watched
            os.kill(os.getpid(), by)

    return before_exec


def end(process: subprocess.Popen[bytes], patience: float) -> int:
    """Ask the leader of a process group to end, and kill it after `patience` seconds. The rest of its group is killed
    in any case.

    Returns:
        the exit status of the leader.
    """
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    return process.wait()
