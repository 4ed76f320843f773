"""Run a function as Lambda does: by the runtime interface client, with only its package and its layers to import
from."""

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
    """A function of the template, whose package and layers are unpacked."""

    handler: str
    folders: Sequence[Path]
    """The package and the `python` folder of each layer: all that the function can import besides the runtime."""
    variables: Mapping[str, str]
    """The environment variables whose values the template gives as literal text."""
    memory: int
    """The memory size in MiB."""
    timeout: int
    """The timeout in seconds."""


def function(template: Template, name: str, package: Package, into: Path) -> Function:
    """Unpack a function of the template.

    Args:
        name: the function's logical name.
        into: a folder for the unpacked archives, which are kept for the next run.
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
    """The folder with the unpacked archive. In Lambda it is /var/task for a package and /opt for a layer."""
    folder = into / archive.digest
    if not folder.exists():
        part = folder.with_suffix(".part")
        with zipfile.ZipFile(archive.path) as zipped:
            zipped.extractall(part)
        part.rename(folder)
    return folder


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of a function, and the time that it took in seconds."""

    content: Any
    seconds: float


class Container:
    """A running function. Its first invocation is the cold one, because it starts the handler."""

    def __init__(self, client: httpx.Client, emulator: subprocess.Popen[bytes], log: Path) -> None:
        self._client = client
        self._emulator = emulator
        self._log = log

    def invoke(self, event: object) -> Answer:
        """Send an event to the function.

        Raises:
            FunctionFailed: the function failed; the message has the end of its log.
        """
        began = time.monotonic()
        try:
            response = self._client.post("/2015-03-31/functions/function/invocations", json=event)
        except httpx.TransportError as error:
            raise FunctionFailed(why=f"{error!r}; {self._end_of_log()}") from error
        took = time.monotonic() - began
        content = response.json() if response.is_success else {"errorType": response.status_code}
        if isinstance(content, dict) and "errorType" in content:
            raise FunctionFailed(why=f"{response.text[:1000]} {self._end_of_log()}")
        return Answer(content, took)

    def memory(self) -> int:
        """The peak memory of the handler's process in bytes, without the child processes that read files."""
        threads = Path(f"/proc/{self._emulator.pid}/task").glob("*/children")
        (handler,) = [child for each in threads for child in each.read_text().split()]
        status = Path(f"/proc/{handler}/status").read_text()
        (kilobytes,) = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
        return int(kilobytes) * 1024

    def await_listening(self) -> None:
        """Wait until the function accepts invocations.

        Raises:
            FunctionFailed: the emulator of the runtime interface ended, or did not listen in time.
        """
        deadline = time.monotonic() + _READY_SECONDS
        while self._emulator.poll() is None and time.monotonic() < deadline:
            with suppress(httpx.TransportError):
                self._client.get("/")  # the answer is a 404: it only shows that somebody listens
                return
            time.sleep(0.01)
        raise FunctionFailed(why=f"the emulator of the runtime interface does not listen; {self._end_of_log()}")

    def _end_of_log(self) -> str:
        return f"{self._log.read_text(errors='replace')[-3000:].strip()} (the whole log is {self._log})"


@contextmanager
def container(
    function: Function, runtime: Path, environment: Mapping[str, str], log: Path, region: str = "us-east-1"
) -> Iterator[Container]:
    """Run the function until the end of the context.

    Args:
        runtime: the virtual environment with the packages that Lambda itself provides; see requirements/invoke.in.
        environment: environment variables in addition to `function.variables`.

    Raises:
        Misconfigured: the runtime lacks a part.
        FunctionFailed: the function did not start.
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
            env={**_lambda_variables(function, region), **function.variables, **environment},
            cwd=function.folders[0],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=die_with_parent(),  # noqa: PLW1509 - sets one kernel flag and takes no lock
        )
    try:
        # Proxy settings of the environment must not apply to 127.0.0.1.
        with httpx.Client(base_url=f"http://{HOST}:{port}", trust_env=False, timeout=function.timeout) as client:
            started = Container(client, process, log)
            started.await_listening()
            yield started
    finally:
        end(process, _PATIENCE)


def _lambda_variables(function: Function, region: str) -> Mapping[str, str]:
    """The environment variables that Lambda itself sets ("Defined runtime environment variables")."""
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
        # Lambda's disk is read-only: bytecode that a cold start compiles is not kept for the next one.
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _interface(runtime: Path) -> Path:
    """The program that emulates Lambda's side of the runtime interface."""
    machine = _MACHINES.get(platform.machine(), platform.machine())
    found = list(runtime.glob(f"lib/*/site-packages/samcli/local/rapid/aws-lambda-rie-{machine}"))
    if len(found) != 1 or platform.system() != "Linux":
        raise Misconfigured(why=f"{runtime} holds no runtime interface emulator for {platform.system()} on {machine}.")
    return found[0].absolute()
