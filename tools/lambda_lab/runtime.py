"""A function as Lambda runs it: by the runtime interface, with what its package and its layers hold, and no more."""

from __future__ import annotations

import os
import platform
import subprocess
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from penstock.domain.errors import Misconfigured, Permanent
from penstock.local.port import HOST, free_port
from penstock.local.process import die_with_parent, end
from penstock.local.template import Template
from tools.lambda_lab.package import CODE, Archive, Package

_MACHINES = {"aarch64": "arm64"}
_READY_SECONDS = 10.0
_PATIENCE = 5.0


class FunctionFailed(Permanent):
    """The function failed: {why}"""

    code = "function_failed"


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the template, unpacked."""

    handler: str
    folders: Sequence[Path]
    """Its package, and the `python` folder of each of its layers: all that it may import beside the runtime's own."""
    variables: Mapping[str, str]
    """Of its environment, as far as the template writes them out."""
    memory: int
    """MiB."""
    timeout: int
    """Seconds."""


def function(template: Template, name: str, package: Package, into: Path) -> Function:
    """
    Args:
        name: the function's, in the template.
        into: a folder for what is unpacked, which is kept for the next time.
    """
    properties = template.resources[name]["Properties"]
    layers = [template.resources[layer["Ref"]]["Properties"]["ContentUri"] for layer in properties["Layers"]]
    written = properties.get("Environment", {}).get("Variables", {})
    return Function(
        handler=properties["Handler"],
        folders=[
            unpacked(package.archives[CODE], into),
            *(unpacked(package.archives[uri], into) / "python" for uri in layers),
        ],
        variables={name: value for name, value in written.items() if isinstance(value, str)},
        memory=properties["MemorySize"],
        timeout=properties["Timeout"],
    )


def unpacked(archive: Archive, into: Path) -> Path:
    """The folder that Lambda would make of it: /var/task of a package, /opt of a layer."""
    folder = into / archive.digest
    if not folder.exists():
        part = folder.with_suffix(".part")
        with zipfile.ZipFile(archive.path) as zipped:
            zipped.extractall(part)
        part.rename(folder)
    return folder


@dataclass(frozen=True, slots=True)
class Answer:
    """What a function answered, and after how many seconds."""

    content: Any
    seconds: float


class Container:
    """A function that was started. Its first invocation is the cold one: the interface starts the handler for it."""

    def __init__(self, client: httpx.Client, emulator: subprocess.Popen[bytes], log: Path) -> None:
        self._client = client
        self._emulator = emulator
        self._log = log

    def invoke(self, event: object) -> Answer:
        """
        Raises:
            FunctionFailed: with the end of its log.
        """
        began = time.monotonic()
        try:
            answered = self._client.post("/2015-03-31/functions/function/invocations", json=event)
        except httpx.TransportError as error:
            raise FunctionFailed(why=f"{error!r}; {self._last_words()}") from error
        took = time.monotonic() - began
        content = answered.json() if answered.is_success else {"errorType": answered.status_code}
        if isinstance(content, dict) and "errorType" in content:
            raise FunctionFailed(why=f"{answered.text[:1000]} {self._last_words()}")
        return Answer(content, took)

    def memory(self) -> int:
        """The most bytes that its process held, without the children that read files."""
        threads = Path(f"/proc/{self._emulator.pid}/task").glob("*/children")
        (handler,) = [child for each in threads for child in each.read_text().split()]
        status = Path(f"/proc/{handler}/status").read_text()
        (kilobytes,) = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
        return int(kilobytes) * 1024

    def await_listening(self) -> None:
        """
        Raises:
            FunctionFailed: the emulator of the interface ended, or never listened.
        """
        deadline = time.monotonic() + _READY_SECONDS
        while self._emulator.poll() is None and time.monotonic() < deadline:
            with suppress(httpx.TransportError):
                self._client.get("/")  # which it does not know, and says so
                return
            time.sleep(0.01)
        raise FunctionFailed(why=f"the emulator of the runtime interface does not listen; {self._last_words()}")

    def _last_words(self) -> str:
        return f"{self._log.read_text(errors='replace')[-3000:].strip()} (all of it is in {self._log})"


@contextmanager
def container(
    function: Function, runtime: Path, environment: Mapping[str, str], log: Path, region: str = "us-east-1"
) -> Iterator[Container]:
    """The function, for as long as the context lasts.

    Args:
        runtime: the virtual environment with what is Lambda's own; see requirements/invoke.in.
        environment: what the function is told beside what the template writes out.

    Raises:
        Misconfigured: the runtime lacks a part.
        FunctionFailed: it did not start.
    """
    port = free_port()
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 - no shell, and nothing a user typed
            [
                _interface(runtime),
                *("--runtime-interface-emulator-address", f"{HOST}:{port}"),
                *("--runtime-api-address", f"{HOST}:{free_port()}"),
                *(runtime.absolute() / "bin/python", "-s", "-m", "awslambdaric", function.handler),
            ],
            env={**_lambdas(function, region), **function.variables, **environment},
            cwd=function.folders[0],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=die_with_parent(),  # noqa: PLW1509 - sets one kernel flag and takes no lock
        )
    try:
        # A proxy must not stand before 127.0.0.1.
        with httpx.Client(base_url=f"http://{HOST}:{port}", trust_env=False, timeout=function.timeout) as client:
            started = Container(client, process, log)
            started.await_listening()
            yield started
    finally:
        end(process, _PATIENCE)


def _lambdas(function: Function, region: str) -> Mapping[str, str]:
    """What Lambda tells a function ("Defined runtime environment variables")."""
    return {
        "PATH": os.environ["PATH"],
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_LAMBDA_FUNCTION_NAME": function.handler,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
        "AWS_LAMBDA_FUNCTION_TIMEOUT": str(function.timeout),
        "LAMBDA_TASK_ROOT": str(function.folders[0].absolute()),
        "PYTHONPATH": os.pathsep.join(str(folder.absolute()) for folder in function.folders),
        # Lambda's disk is read-only: what a cold start compiles is not kept for the next one.
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _interface(runtime: Path) -> Path:
    """The program that stands in for Lambda's side of the runtime interface."""
    machine = _MACHINES.get(platform.machine(), platform.machine())
    found = list(runtime.glob(f"lib/*/site-packages/samcli/local/rapid/aws-lambda-rie-{machine}"))
    if len(found) != 1 or platform.system() != "Linux":
        raise Misconfigured(why=f"{runtime} holds no runtime interface emulator for {platform.system()} on {machine}.")
    return found[0].absolute()
