"""Processes that end with whoever started them."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress

_PR_SET_PDEATHSIG = 1


def die_with_parent(by: signal.Signals = signal.SIGTERM) -> Callable[[], None]:
    """For Popen's `preexec_fn`: the kernel sends the child this signal when its parent ends, however it ended.

    Linux alone can do that; elsewhere the child outlives a parent that was killed. "Parent" is the thread that called
    Popen, so start children from a thread that lives as long as they shall.
    """
    if sys.platform != "linux":
        return lambda: None
    prctl = ctypes.CDLL(None, use_errno=True).prctl  # looked up before the fork: after it, no lock can be trusted
    parent = os.getpid()

    def before_exec() -> None:
        prctl(_PR_SET_PDEATHSIG, by)
        if os.getppid() != parent:  # it ended before it could be watched
            os.kill(os.getpid(), by)

    return before_exec


def end(process: subprocess.Popen[bytes], patience: float) -> int:
    """Ask the leader of a process group to end; after so many seconds kill it. What it left of its group is killed in
    any case. Its exit status."""
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
