"""The whole of Penstock in processes of its own, with a fault proxy between each of them and AWS, and one before the
embedding provider. A process that is killed is started again, as by a supervisor."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Event, Lock, RLock, Thread
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx

from penstock.adapters.aws.budget import DynamoProviderBudgetTable
from penstock.adapters.aws.clients import Clients, aws_clients
from penstock.documents.api_keys import create_key
from penstock.domain.ids import TenantId
from penstock.domain.provider_budget import ProviderBudget
from penstock.local.emulator import Emulator, emulator
from penstock.local.port import free_port
from penstock.local.process import die_with_parent, end
from penstock.local.provision import Provisioned, provision
from penstock.services import Services
from penstock.settings import Settings
from penstock.wiring import services
from tests.faults.proxy import Gate, Traps
from tests.support.counting_proxy import counting_proxy
from tests.support.environment import restored_environment
from tests.support.paths import ROOT
from tests.support.stubs.openai_server import OpenAIServer

TENANT = TenantId("acme")
BATCH = 2
"""The number of texts in one request to the provider."""
LEASE = 8
PATIENCE = 300.0
"""The time after which a wait has failed, in seconds. No case is judged by its time."""
_AWS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
_SHORT = {
    "PENSTOCK_LEASE_SECONDS": str(LEASE),
    "PENSTOCK_VISIBILITY_SECONDS": str(LEASE),
    "PENSTOCK_RESEND_SECONDS": "5",
    "PENSTOCK_SWEEP_SECONDS": "2",
    "PENSTOCK_WAIT_SECONDS": "1",
    "PENSTOCK_STOP_SECONDS": "10",
    "PENSTOCK_CHUNK_CHARS": "400",
    "PENSTOCK_OVERLAP_CHARS": "40",
    "PENSTOCK_SHARD_CHUNKS": "4",
    "PENSTOCK_OPENAI_BATCH": str(BATCH),
    "PENSTOCK_OPENAI_DIMENSIONS": "16",
    "PENSTOCK_WORKER_CONCURRENCY": "3",
    "PENSTOCK_EMBEDDER": "openai",
    "PENSTOCK_INDEX": "sqlite",
}
_LAMBDA = ("-m", "tests.faults.lambda_consumer", "{emulator}")
KINDS: Mapping[str, Sequence[str]] = {
    "worker": ("-m", "penstock.cli.main", "worker", "--lanes", "standard"),
    "express": ("-m", "penstock.cli.main", "worker", "--lanes", "express"),
    "beat": ("-m", "penstock.cli.main", "beat"),
    "poller": ("-m", "penstock.local.poller"),
    "api": ("-m", "penstock.cli.main", "serve", "--port", "{port}"),
    "lambda": (*_LAMBDA, "extract-bulk", "embed-bulk", "delete"),
    "lambda-bulk": (*_LAMBDA, "extract-bulk", "embed-bulk"),
    "lambda-express": (*_LAMBDA, "extract-express", "embed-express"),
}
"""The arguments of Python, by the first word of a program's name. The name goes on with words of `ODDITIES` or a
number."""
USUAL = ("worker", "beat", "poller", "api", "lambda", "lambda-2", "lambda-3")
_SMALL_TMP = 'mkdir -p "$TMPDIR" && mount -t tmpfs -o size=1m none "$TMPDIR" && exec "$@"'
BRIEF = 3
"""A visibility in seconds that is shorter than any work."""
HOUR = 3600
ODDITIES: Mapping[str, Callable[[Sequence[str]], Sequence[str]]] = {
    # a mount of its own, which any user may create
    "small": lambda command: ("unshare", "-rm", "sh", "-c", _SMALL_TMP, "sh", *command),
    "ahead": lambda command: (command[0], "-m", "tests.faults.shifted", str(HOUR), *command[2:]),
    "behind": lambda command: (command[0], "-m", "tests.faults.shifted", str(-HOUR), *command[2:]),
    "brief": lambda command: (*command, "--visibility", str(BRIEF)),
}
"""How a program's command is changed for each word in its name."""
_NAME = "penstock"
_PARAMETERS = {"StageVisibility": "30", "ArrivalsVisibility": "30"}
_WIRING = Lock()
"""Stacks that run side by side share the environment of this process."""
T = TypeVar("T")


def until(what: str, ask: Callable[[], T | None], seconds: float = PATIENCE, pause: float = 0.1) -> T:
    """Return what `ask` returns, once it is neither None nor False."""
    deadline = time.monotonic() + seconds
    while not (found := ask()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(pause)
    return found


def command(name: str) -> Sequence[str]:
    """The command of the program of this name."""
    kind = max((each for each in KINDS if f"{name}-".startswith(f"{each}-")), key=len)
    made: Sequence[str] = (sys.executable, *KINDS[kind])
    for word in name.removeprefix(kind).split("-"):
        made = ODDITIES[word](made) if word in ODDITIES else made
    return made


@dataclass
class Program:
    """A process that is started again whenever it ends, until it is stopped."""

    name: str
    start: Callable[[], subprocess.Popen[bytes]]
    log: Path
    process: subprocess.Popen[bytes]
    ends: int = 0
    """How often the process ended by itself or was killed."""
    wanted: bool = True

    @property
    def pid(self) -> int:
        return self.process.pid

    def said(self) -> str:
        return self.log.read_text(errors="replace")


@dataclass
class Stack:
    """The running programs, and the clients that tests need to look at them."""

    folder: Path
    chance: random.Random
    traps: Traps
    provider: OpenAIServer
    clients: Clients
    made: Provisioned
    environment: dict[str, str]
    """The environment of every process. AWS_ENDPOINT_URL differs for each."""
    emulator: Emulator
    parts: ExitStack
    services: Services
    ports: dict[str, int]
    """The port of each API, by its program's name."""
    apis: dict[str, httpx.Client]
    """The client of each API."""
    provider_budget: Callable[[], ProviderBudget]
    """Returns the shared budget of the provider."""
    programs: dict[str, Program] = field(default_factory=dict)
    held: RLock = field(default_factory=RLock)
    """While it is held, the supervisor starts nothing."""

    def begin(self, name: str) -> Program:
        """Start a program behind a proxy of its own."""
        current: list[Program] = []
        gate = Gate(self.traps, name, self.emulator.url, lambda: current[0].pid, self.chance)
        proxy = self.parts.enter_context(counting_proxy(self.emulator.url, gate))
        asked = Gate(self.traps, name, self.provider.url, lambda: current[0].pid, self.chance)
        provider = self.parts.enter_context(counting_proxy(self.provider.url, asked))
        own = {"AWS_ENDPOINT_URL": proxy.url, "OPENAI_BASE_URL": f"{provider.url}/v1"}
        log = self.folder / f"{name}.log"
        places = {"emulator": self.emulator.url, "port": self.ports.get(name)}
        arguments = [each.format(**places) for each in command(name)]

        def start() -> subprocess.Popen[bytes]:
            with log.open("ab") as output:
                return subprocess.Popen(
                    arguments,
                    env={**self.environment, **own},
                    cwd=self.folder,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    preexec_fn=die_with_parent(),  # noqa: PLW1509 - sets one kernel flag and takes no lock
                )

        program = Program(name, start, log, start())
        current.append(program)
        self.programs[name] = program
        return program

    def end(self, name: str) -> None:
        """Stop a program as its supervisor would."""
        with self.held:
            program = self.programs[name]
            program.wanted = False
        end(program.process, 40)

    def again(self, name: str) -> None:
        with self.held:
            program = self.programs[name]
            program.process, program.wanted = program.start(), True

    def restart(self) -> None:
        """Stop all programs and the emulator, and start them again on the state that the emulator kept."""
        names = list(self.programs)
        for name in reversed(names):
            self.end(name)
        end(self.emulator.process, 40)
        port = urlsplit(self.emulator.url).port
        assert port is not None
        self.emulator = self.parts.enter_context(_emulator(self.folder, port))
        provision(self.clients, ROOT / "template.yaml", _NAME, _PARAMETERS)
        for name in names:
            self.again(name)

    def supervise(self, closed: Event) -> None:
        while not closed.wait(0.1):
            with self.held:
                for program in list(self.programs.values()):
                    if program.wanted and program.process.poll() is not None:
                        with_group(program.process)
                        program.ends += 1
                        program.process = program.start()

    def ends(self) -> int:
        """The number of ends of all programs."""
        return sum(program.ends for program in self.programs.values())

    def waiting(self) -> dict[str, int]:
        """The number of messages in each queue that is not empty, visible or not."""
        urls = {**self.made.queues, "arrivals": self.made.arrivals}
        urls |= {f"{stage}-dead": url for stage, url in self.made.dead_letters.items()}
        counts = {name: self._count(url) for name, url in urls.items()}
        return {name: count for name, count in counts.items() if count}

    def _count(self, url: str) -> int:
        names: Any = [
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesDelayed",
        ]
        counts = self.clients.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return sum(int(counts.get(name, 0)) for name in names)


def with_group(process: subprocess.Popen[bytes]) -> None:
    """End the rest of its process group too. The kernel has signalled its children already."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


@contextmanager
def running(
    folder: Path, chance: random.Random, *, programs: Sequence[str] = USUAL, **settings: str
) -> Iterator[Stack]:
    """A stack on an emulator of its own. At the end nothing of it is left, whatever happened."""
    (folder / "tmp").mkdir(parents=True, exist_ok=True)
    with ExitStack() as parts:
        provider = parts.enter_context(OpenAIServer())
        port = free_port()
        started = parts.enter_context(_emulator(folder, port))
        ports = {name: free_port() for name in programs if name.startswith("api")}
        environment = {
            **_AWS,
            **_SHORT,
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "TMPDIR": str(folder / "tmp"),
            "OPENAI_API_KEY": provider.key,
            "OPENAI_BASE_URL": provider.url,
            "AWS_ENDPOINT_URL": started.url,
            "PENSTOCK_INDEX_PATH": str(folder / "index"),
            **settings,
        }
        with _environment(environment):
            clients = aws_clients()
            made = provision(clients, ROOT / "template.yaml", _NAME, _PARAMETERS)
            environment |= made.environment()
            os.environ.update(made.environment())
            settings_of_all = Settings.from_environment()
            wired = services(settings_of_all, clients=clients)
        key = create_key(wired, TENANT, "faults")
        budgets = DynamoProviderBudgetTable(clients.dynamodb, made.table)
        model = settings_of_all.openai_model
        apis = {name: parts.enter_context(_client(port, key)) for name, port in ports.items()}
        stack = Stack(
            folder,
            chance,
            Traps(),
            provider,
            clients,
            made,
            environment,
            started,
            parts,
            wired,
            ports,
            apis,
            lambda: budgets.read(model) or ProviderBudget(),
        )
        for name in programs:
            stack.begin(name)
        closed = Event()
        supervisor = Thread(target=stack.supervise, args=(closed,), daemon=True)
        supervisor.start()
        try:
            for name, program in stack.programs.items():
                if name.startswith(("worker", "express", "lambda")):
                    until(f"{name} is ready", lambda program=program: "ready" in program.said())  # type: ignore[misc]
            for name, client in apis.items():
                until(f"{name} is ready", partial(_answers, client))
            yield stack
        finally:
            closed.set()
            supervisor.join()
            for program in reversed(list(stack.programs.values())):
                end(program.process, 20)


def _emulator(folder: Path, port: int) -> AbstractContextManager[Emulator]:
    python = ROOT / ".venv-emulator/bin/python"
    return emulator(python, port, folder / "emulator.log", state=folder / "state")


def _client(port: int, key: str) -> httpx.Client:
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60, trust_env=False)


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").is_success
    except httpx.TransportError:
        return False


@contextmanager
def _environment(environment: Mapping[str, str]) -> Iterator[None]:
    """Set the environment of this process while its services are created. They look at what the programs did."""
    with _WIRING, restored_environment():
        for name in list(os.environ):
            if name.startswith(("PENSTOCK_", "AWS_", "OPENAI_")):
                del os.environ[name]
        os.environ.update({name: value for name, value in environment.items() if name not in {"HOME", "PATH"}})
        yield
