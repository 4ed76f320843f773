"""The whole stack on one machine: the emulator, worker, beat, poller and API. They are started in this order and ended
in the opposite one."""

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
from penstock.local.health import check_running
from penstock.local.opensearch import OpenSearch, opensearch
from penstock.local.port import HOST, check_free
from penstock.local.process import end, start
from penstock.local.provision import provision
from penstock.local.state_env import read_environment, write_environment
from penstock.services import Services
from penstock.settings import Settings
from penstock.wiring import services

TENANT = TenantId("local")
_STACK = "penstock"
_PARAMETERS = {"StageVisibility": "30", "ArrivalsVisibility": "30"}
"""Parameters of the template. The times are short, so that the messages of a process that was killed come back soon."""
_READY_SECONDS = 60.0
_END_SECONDS = 30.0
_WATCH_SECONDS = 0.5

_PROGRAMS: Mapping[str, list[str]] = {
    "worker": ["-m", "penstock.worker"],
    "beat": ["-m", "penstock.cli.main", "beat"],
    "poller": ["-m", "penstock.local.poller"],
    "api": ["-m", "penstock.cli.main", "serve"],
}
"""The arguments of each Python process, in the order of their start. They are ended in the opposite order."""


@dataclass(frozen=True, slots=True)
class StackConfig:
    """The folders and ports of a local stack."""

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
    """A local stack that is ready for requests."""

    config: StackConfig
    environment: Mapping[str, str]
    key: str
    emulator: subprocess.Popen[bytes]
    index: subprocess.Popen[bytes] | None = None
    """The OpenSearch process. It is None if the stack uses another index or another server."""
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.config.api_port}"

    @property
    def drop_folder(self) -> str:
        return f"s3://{self.environment['PENSTOCK_BUCKET']}/drop/{TENANT}/"

    def watch(self) -> Iterator[str]:
        """Watch the processes for ever. One that has ended by itself is started again, and its name is yielded.

        Raises:
            Misconfigured: OpenSearch has ended; or the emulator has, and has lost what was added since the last clean
                stop.
        """
        while True:
            time.sleep(_WATCH_SECONDS)
            if self.emulator.poll() is not None:
                raise Misconfigured(
                    why="The AWS emulator has ended, and what was added since the last clean stop is lost. Start the "
                    f"stack again and add it again. The logs are in {self.config.logs}."
                )
            if self.index is not None and self.index.poll() is not None:
                raise Misconfigured(
                    why="OpenSearch has ended. Start the stack again; the content of the index is kept. The logs are "
                    f"in {self.config.state / 'opensearch' / 'logs'}."
                )
            for name, process in self.processes.items():
                if process.poll() is not None:
                    self.processes[name] = _start(self.config, name, self.environment)
                    yield name


@contextmanager
def local_stack(config: StackConfig) -> Iterator[Stack]:
    """Run a stack for as long as the context lasts; all its processes end with it. `config.state` keeps its content.

    The environment of this process is changed, because the settings of the stack are read from it.

    Raises:
        Misconfigured: a port is in use, another stack uses this state, its documents are in another index, or a part
            did not become ready. The message says what to do.
        EmbedderChanged: the index was built with another embedder.
    """
    config.state.mkdir(parents=True, exist_ok=True)
    with ExitStack() as parts:
        parts.enter_context(_locked(config.state))
        settings = Settings.from_environment()
        _check_same_index(config.state, settings.index)
        check_free(config.api_port, user="the API", setting="PENSTOCK_API_PORT")
        running = parts.enter_context(
            emulator(
                config.emulator_python,
                config.emulator_port,
                config.logs / "emulator.log",
                state=config.state / "emulator",
            )
        )
        environment = _environment(config, running.url)
        server = parts.enter_context(_index_server(config, settings))
        environment |= {
            "PENSTOCK_INDEX": settings.index,
            "PENSTOCK_INDEX_URL": server.url if server else settings.index_url,
            "PENSTOCK_INDEX_NAME": settings.index_name,
        }
        os.environ.update(environment)
        environment |= provision(aws_clients(), config.template, _STACK, _PARAMETERS).environment()
        os.environ.update(environment)
        wired = services(Settings.from_environment())
        with suppress(Transient):  # _await_ready waits for what may pass; any other error ends the start here
            wired.index.check()
        stack = Stack(config, environment, _key(config, wired), running.process, server.process if server else None)
        _write_state(config, stack)
        parts.callback(_end_all, stack.processes)
        for name in _PROGRAMS:
            stack.processes[name] = _start(config, name, environment)
        _await_ready(stack)
        yield stack


def _check_same_index(state: Path, chosen: str) -> None:
    before = read_environment(state).get("PENSTOCK_INDEX", chosen)
    if before != chosen:
        raise Misconfigured(
            why=f"The documents of {state} are in its {before} index, and PENSTOCK_INDEX={chosen} would find none of "
            f"them. Start the stack with PENSTOCK_INDEX={before}, choose another --state, or delete this one: make "
            "clean-state"
        )


def _environment(config: StackConfig, endpoint: str) -> dict[str, str]:
    """The environment that every part gets. The user's own settings take precedence over the defaults for a laptop."""
    laptop_defaults = {
        "PENSTOCK_LEASE_SECONDS": "30",
        "PENSTOCK_VISIBILITY_SECONDS": "30",
        "PENSTOCK_WAIT_SECONDS": "1",
        "PENSTOCK_SWEEP_SECONDS": "15",
    }
    chosen = {name: os.environ.get(name, value) for name, value in laptop_defaults.items()}
    return chosen | {
        "PENSTOCK_API_PORT": str(config.api_port),
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",  # the only key id that the emulator accepts in a signed link
        "AWS_SECRET_ACCESS_KEY": "test",
        "PENSTOCK_INDEX_PATH": str((config.state / "index").absolute()),
    }


@contextmanager
def _index_server(config: StackConfig, settings: Settings) -> Iterator[OpenSearch | None]:
    """Run a search server if the settings choose OpenSearch and name no server."""
    if settings.index != "opensearch" or settings.index_url:
        yield None
        return
    with opensearch(config.state / "opensearch") as server:
        yield server


def _key(config: StackConfig, wired: Services) -> str:
    """The API key of the local tenant: the one in its file if the table still has it, otherwise a new one."""
    if config.key_file.exists():
        key = config.key_file.read_text().strip()
        if tenant_of_key(wired, key) == TENANT:
            return key
        config.key_file.unlink()
    key = create_key(wired, TENANT, "made by make run")
    with os.fdopen(os.open(config.key_file, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "w") as file:
        file.write(key + "\n")
    return key


def _write_state(config: StackConfig, stack: Stack) -> None:
    """Write the address and the settings of the stack for the command line, which reads them here by default."""
    (config.state / "url").write_text(stack.url + "\n")
    write_environment(config.state, stack.environment)


def _start(config: StackConfig, name: str, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    variables = {**os.environ, **environment, "PYTHONUNBUFFERED": "1"}
    process = start([sys.executable, *_PROGRAMS[name]], variables, config.logs / f"{name}.log")
    (config.state / f"{name}.pid").write_text(f"{process.pid}\n")
    return process


def _end_all(processes: Mapping[str, subprocess.Popen[bytes]]) -> None:
    for process in reversed(list(processes.values())):
        end(process, _END_SECONDS)


def _await_ready(stack: Stack) -> None:
    """Wait until every dependency answers, and a no-op task has gone through the queue to the worker and back."""
    deadline = time.monotonic() + _READY_SECONDS
    reply = "nothing"
    with httpx.Client(base_url=stack.url, headers={"Authorization": f"Bearer {stack.key}"}, timeout=15) as client:
        for path, send in (("/readyz", client.get), ("/v1/health/task", client.post)):
            while True:
                _check_alive(stack)
                try:
                    answer = send(path)
                    if answer.is_success:
                        break
                    reply = answer.text[:500]
                except httpx.TransportError as error:
                    reply = str(error)
                if time.monotonic() > deadline:
                    why = f"The local stack is not ready: {path} answers {reply}. The logs are in {stack.config.logs}."
                    raise Misconfigured(why=why)
                time.sleep(0.05)


def _check_alive(stack: Stack) -> None:
    for name, process in stack.processes.items():
        check_running(f"The {name}", process, stack.config.logs / f"{name}.log")


@contextmanager
def _locked(state: Path) -> Iterator[None]:
    with (state / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            why = f"Another local stack is running on {state}. End it, or choose another --state."
            raise Misconfigured(why=why) from None
        yield
