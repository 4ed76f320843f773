"""The AWS emulator of the local stack: ministack, which is installed in a virtual environment of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from penstock.local.health import await_health
from penstock.local.port import HOST, check_free
from penstock.local.process import end, start

_INHERITED = ("HOME", "LANG", "PATH", "TMPDIR")


@dataclass(frozen=True, slots=True)
class Emulator:
    """An emulator that answers. `url` is the value for AWS_ENDPOINT_URL."""

    url: str
    process: subprocess.Popen[bytes]


@contextmanager
def emulator(
    python: Path,
    port: int,
    log: Path,
    *,
    state: Path | None = None,
    settings: Mapping[str, str] | None = None,
    ready: float = 30,
    patience: float = 20,
) -> Iterator[Emulator]:
    """Run an emulator for as long as the context lasts.

    Ctrl-C in a terminal does not reach it: the end of the context ends it, after everything that uses it.

    Args:
        python: the interpreter of the environment in which ministack is installed.
        log: the file to which its output is appended.
        state: a folder that keeps its content from one run to the next. None forgets the content.
        settings: environment variables for the emulator, in addition to those that every emulator gets here.
        ready: the maximum time until it answers, in seconds.
        patience: the time to save its state and end, in seconds. After that it is killed.

    Raises:
        Misconfigured: the port is in use, or the emulator did not start.
    """
    check_free(port, user="the AWS emulator", setting="PENSTOCK_EMULATOR_PORT")
    log.parent.mkdir(parents=True, exist_ok=True)
    scratch = log.with_suffix(".tmp").absolute()
    _empty(scratch)  # an emulator that was killed could not remove its own
    environment = {**_environment(port, state), "TMPDIR": str(scratch), **(settings or {})}
    process = start([python, "-m", "ministack"], environment, log)
    try:
        url = f"http://{HOST}:{port}"
        await_health("The AWS emulator", process, f"{url}/_ministack/health", log, ready)
        yield Emulator(url, process)
    finally:
        end(process, patience)
        shutil.rmtree(scratch, ignore_errors=True)


def _empty(scratch: Path) -> None:
    """Empty the folder into which the emulator unpacks functions: hundreds of megabytes per process, never removed."""
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()


def _environment(port: int, state: Path | None) -> Mapping[str, str]:
    settings = {
        "BIND_HOST": HOST,
        "GATEWAY_PORT": str(port),
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "LOG_LEVEL": "WARNING",
    }
    if state is not None:
        settings |= {
            "PERSIST_STATE": "1",
            "STATE_DIR": str(state.absolute() / "services"),
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(state.absolute() / "objects"),
        }
    return {name: os.environ[name] for name in _INHERITED if name in os.environ} | settings
