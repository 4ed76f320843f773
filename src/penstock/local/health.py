"""Health: wait until a server of this machine answers, or has ended, or takes too long."""

from __future__ import annotations

import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

from penstock.domain.errors import Misconfigured

_AT_ONCE = 10
"""Seconds that one answer may take."""


def await_health(name: str, process: subprocess.Popen[bytes], url: str, log: Path, seconds: float) -> None:
    """
    Raises:
        Misconfigured: it ended, or does not answer; the last words of its log.
    """
    deadline = time.monotonic() + seconds
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy must not stand before 127.0.0.1
    while True:
        if process.poll() is not None:
            raise Misconfigured(why=f"{name} ended with status {process.returncode}: {_last_words(log)}")
        try:
            with opener.open(url, timeout=_AT_ONCE):
                return
        except (urllib.error.URLError, OSError):
            if time.monotonic() > deadline:
                raise Misconfigured(why=f"{name} does not answer: {_last_words(log)}") from None
            time.sleep(0.05)


def _last_words(log: Path) -> str:
    words = log.read_text(errors="replace")[-1000:].strip()
    return f"{words} (all of it is in {log})" if words else f"it said nothing in {log}"
