"""Health: wait until a server on this machine answers, has ended, or takes too long."""

from __future__ import annotations

import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

from penstock.domain.errors import Misconfigured

_ANSWER_SECONDS = 10
"""The maximum time that one answer may take."""
_TAIL_CHARS = 1500


def await_health(name: str, process: subprocess.Popen[bytes], url: str, log: Path, seconds: float) -> None:
    """Wait until the server answers at `url` with a success.

    Raises:
        Misconfigured: the server ended, or does not answer within `seconds`. The message has the end of its log.
    """
    deadline = time.monotonic() + seconds
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy does not reach 127.0.0.1
    while True:
        check_running(name, process, log)
        try:
            with opener.open(url, timeout=_ANSWER_SECONDS):
                return
        except (urllib.error.URLError, OSError):
            if time.monotonic() > deadline:
                raise Misconfigured(why=f"{name} does not answer: {_tail(log)}") from None
            time.sleep(0.05)


def check_running(name: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """
    Raises:
        Misconfigured: the process has ended. The message has the end of its log.
    """
    if process.poll() is not None:
        raise Misconfigured(why=f"{name} ended with status {process.returncode}: {_tail(log)}")


def _tail(log: Path) -> str:
    text = log.read_text(errors="replace")[-_TAIL_CHARS:].strip()
    return f"{text} (the whole log is {log})" if text else f"its log {log} is empty"
