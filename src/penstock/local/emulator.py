"""The AWS emulator of the local stack: ministack, from a virtual environment of its own."""

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
from penstock.local.process import die_with_parent, end

_PASSED_ON = ("HOME", "LANG", "PATH", "TMPDIR")


@dataclass(frozen=True, slots=True)
class Emulator:
    """An emulator that answers: `url` is what AWS_ENDPOINT_URL shall say."""

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
    """An emulator for as long as the context lasts.

    Ctrl-C in a terminal does not reach it: whoever holds the context ends it, after all that uses it.

    Args:
        python: the interpreter of the environment that ministack is installed in.
        log: where its output goes.
        state: a folder that keeps what it holds from one run to the next; None forgets it.
        settings: of the emulator, beside those that every one here has.
        ready: seconds it may take to answer.
        patience: seconds it may take to end and to save its state, before it is killed.

    Raises:
        Misconfigured: the port is in use, or the emulator did not start.
    """
    check_free(port, user="the AWS emulator", setting="PENSTOCK_EMULATOR_PORT")
    log.parent.mkdir(parents=True, exist_ok=True)
    scratch = log.with_suffix(".tmp").absolute()
    _emptied(scratch)  # one that was killed left its own
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 - no shell, and nothing a user typed
            [python, "-m", "ministack"],
            env={**_environment(port, state), "TMPDIR": str(scratch), **(settings or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # Not SIGKILL: it saves its state when asked to end.
            preexec_fn=die_with_parent(),  # noqa: PLW1509 - sets one kernel flag and takes no lock
        )
    try:
        url = f"http://{HOST}:{port}"
        await_health("The AWS emulator", process, f"{url}/_ministack/health", log, ready)
        yield Emulator(url, process)
    finally:
        end(process, patience)
        shutil.rmtree(scratch, ignore_errors=True)


def _emptied(scratch: Path) -> None:
    """The emulator unpacks each function for each of its processes, hundreds of megabytes each, and leaves them."""
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
    return {name: os.environ[name] for name in _PASSED_ON if name in os.environ} | settings
