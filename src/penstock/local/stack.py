"""The whole stack on one machine: emulator, API, worker, beat and poller, started in order and ended in order."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from penstock.adapters.aws.clients import aws_clients
from penstock.documents.api_keys import create_key, tenant_of_key
from penstock.domain.errors import Misconfigured, Transient
from penstock.domain.ids import TenantId
from penstock.local.emulator import emulator
from penstock.local.opensearch import OpenSearch, opensearch
from penstock.local.port import HOST, check_free
from penstock.local.process import die_with_parent, end
from penstock.local.provision import provision
from penstock.local.state_env import leave_environment, left_environment
from penstock.services import Services
from penstock.settings import Settings
from penstock.wiring import services

TENANT = TenantId("local")
_STACK = "penstock"
_SHORT = {"StageVisibility": "30", "ArrivalsVisibility": "30"}
"""Of the template's parameters: no message waits long for a process that was killed."""
_READY_SECONDS = 60.0
_PATIENCE = 30.0
_WATCH_SECONDS = 0.5

_PROGRAMS: Mapping[str, list[str]] = {
    "worker": ["-m", "penstock.worker"],
    "beat": ["-m", "penstock.cli.main", "beat"],
    "poller": ["-m", "penstock.local.poller"],
    "api": ["-m", "penstock.cli.main", "serve"],
}
"""In the order in which they are started; they are ended in the opposite one."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a local stack lives and listens."""

    state: Path
    template: Path
    emulator_python: Path
    api_port: int
    emulator_port: int

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def key_file(self) -> Path:
        return self.state / "api-key"


@dataclass(slots=True)
class Stack:
    """A local stack that is ready."""

    place: Place
    environment: Mapping[str, str]
    key: str
    emulator: subprocess.Popen[bytes]
    index: subprocess.Popen[bytes] | None = None
    """The search server, where the stack has one of its own."""
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.place.api_port}"

    @property
    def drop_folder(self) -> str:
        return f"s3://{self.environment['PENSTOCK_BUCKET']}/drop/{TENANT}/"

    def watch(self) -> Iterator[str]:
        """For ever: what has ended by itself is started again, and named.

        Raises:
            Misconfigured: the emulator has ended, and with it what it held since the last clean stop; or the search
                server has.
        """
        while True:
            time.sleep(_WATCH_SECONDS)
            if self.emulator.poll() is not None:
                raise Misconfigured(
                    why="The AWS emulator has ended, and what was added since the last clean stop is lost: start the "
                    f"stack again, and add it again. What happened is in {self.place.logs}."
                )
            if self.index is not None and self.index.poll() is not None:
                raise Misconfigured(
                    why="OpenSearch has ended: start the stack again; what it held is kept. What happened is in "
                    f"{self.place.state / 'opensearch' / 'logs'}."
                )
            for name, process in self.processes.items():
                if process.poll() is not None:
                    self.processes[name] = _start(self.place, name, self.environment)
                    yield name


@contextmanager
def local_stack(place: Place) -> Iterator[Stack]:
    """A stack for as long as the context lasts; all its processes end with it. What it holds is kept in `place.state`.

    Sets this process's environment, from which the settings of the stack are read.

    Raises:
        Misconfigured: a port is in use, another stack has this state, its documents are in another index, or a part did
            not become ready; what to do.
        EmbedderChanged: the index is of another embedder.
    """
    place.state.mkdir(parents=True, exist_ok=True)
    with ExitStack() as parts:
        parts.enter_context(_only_one(place.state))
        settings = Settings.from_environment()
        _check_index_is_that_of(place.state, settings.index)
        check_free(place.api_port, user="the API", setting="PENSTOCK_API_PORT")
        running = parts.enter_context(
            emulator(
                place.emulator_python,
                place.emulator_port,
                place.logs / "emulator.log",
                state=place.state / "emulator",
            )
        )
        environment = _environment(place, running.url)
        server = parts.enter_context(_index_server(place, settings))
        environment |= {
            "PENSTOCK_INDEX": settings.index,
            "PENSTOCK_INDEX_URL": server.url if server else settings.index_url,
            "PENSTOCK_INDEX_NAME": settings.index_name,
        }
        os.environ.update(environment)
        environment |= provision(aws_clients(), place.template, _STACK, _SHORT).environment()
        os.environ.update(environment)
        wired = services(Settings.from_environment())
        with suppress(Transient):  # is waited for, below; what will not pass is said at once
            wired.index.check()
        stack = Stack(place, environment, _key(place, wired), running.process, server.process if server else None)
        _leave_word(place, stack)
        parts.callback(_end_all, stack.processes)
        for name in _PROGRAMS:
            stack.processes[name] = _start(place, name, environment)
        _await_ready(stack)
        yield stack


def _check_index_is_that_of(state: Path, chosen: str) -> None:
    before = left_environment(state).get("PENSTOCK_INDEX", chosen)
    if before != chosen:
        raise Misconfigured(
            why=f"The documents of {state} are in its index {before}, and PENSTOCK_INDEX={chosen} would find none of "
            f"them. Start it with PENSTOCK_INDEX={before}, another with --state, or forget it all: make clean-state"
        )


def _environment(place: Place, endpoint: str) -> dict[str, str]:
    """What every part is told. What the user has set stands before the numbers that suit a laptop."""
    suits_a_laptop = {
        "PENSTOCK_LEASE_SECONDS": "30",
        "PENSTOCK_VISIBILITY_SECONDS": "30",
        "PENSTOCK_WAIT_SECONDS": "1",
        "PENSTOCK_SWEEP_SECONDS": "15",
    }
    chosen = {name: os.environ.get(name, value) for name, value in suits_a_laptop.items()}
    return chosen | {
        "PENSTOCK_API_PORT": str(place.api_port),
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",  # the one that the emulator knows, where a link is signed with it
        "AWS_SECRET_ACCESS_KEY": "test",
        "PENSTOCK_INDEX_PATH": str((place.state / "index").absolute()),
    }


@contextmanager
def _index_server(place: Place, settings: Settings) -> Iterator[OpenSearch | None]:
    """A search server, where one is wanted and none was named."""
    if settings.index != "opensearch" or settings.index_url:
        yield None
        return
    with opensearch(place.state / "opensearch") as server:
        yield server


def _key(place: Place, wired: Services) -> str:
    """The key of the local tenant: the one in its file, if the table still knows it, else a new one."""
    if place.key_file.exists():
        key = place.key_file.read_text().strip()
        if tenant_of_key(wired, key) == TENANT:
            return key
        place.key_file.unlink()
    key = create_key(wired, TENANT, "made by make run")
    with os.fdopen(os.open(place.key_file, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "w") as file:
        file.write(key + "\n")
    return key


def _leave_word(place: Place, stack: Stack) -> None:
    """For the command line, which looks here when it is told nothing else."""
    (place.state / "url").write_text(stack.url + "\n")
    leave_environment(place.state, stack.environment)


def _start(place: Place, name: str, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    log = place.logs / f"{name}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 - no shell, and nothing a user typed
            [sys.executable, *_PROGRAMS[name]],
            env={**os.environ, **environment, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches this process alone, which ends the others in order
            preexec_fn=die_with_parent(),  # noqa: PLW1509 - sets one kernel flag and takes no lock
        )
    (place.state / f"{name}.pid").write_text(f"{process.pid}\n")
    return process


def _end_all(processes: Mapping[str, subprocess.Popen[bytes]]) -> None:
    for process in reversed(list(processes.values())):
        end(process, _PATIENCE)


def _await_ready(stack: Stack) -> None:
    """Until every dependency answers, and a no-op has gone through the queue to the worker and back."""
    deadline = time.monotonic() + _READY_SECONDS
    said = "nothing"
    with httpx.Client(base_url=stack.url, headers={"Authorization": f"Bearer {stack.key}"}, timeout=15) as client:
        for path, ask in (("/readyz", client.get), ("/v1/health/task", client.post)):
            while True:
                _check_alive(stack)
                try:
                    answer = ask(path)
                    if answer.is_success:
                        break
                    said = answer.text[:500]
                except httpx.TransportError as error:
                    said = str(error)
                if time.monotonic() > deadline:
                    why = f"The local stack is not ready: {path} says {said}. See {stack.place.logs}."
                    raise Misconfigured(why=why)
                time.sleep(0.05)


def _check_alive(stack: Stack) -> None:
    for name, process in stack.processes.items():
        if process.poll() is not None:
            log = stack.place.logs / f"{name}.log"
            words = log.read_text(errors="replace")[-1500:].strip()
            raise Misconfigured(why=f"The {name} ended ({process.returncode}): {words} (all of it is in {log})")


@contextmanager
def _only_one(state: Path) -> Iterator[None]:
    with (state / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            why = f"A local stack is running on {state} already. End it, or choose another --state."
            raise Misconfigured(why=why) from None
        yield
