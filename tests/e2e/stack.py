"""A real stack for tests, used through its two doors; and a local one: `penstock up` in a process of its own, on free
ports and with its own state."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import boto3
import httpx

from penstock.local.port import free_port
from tests.support.paths import ROOT

FINAL = {"indexed", "partial", "no_text", "failed", "cancelled", "deleted"}
T = TypeVar("T")


@dataclass
class Stack:
    """A stack that is reached by HTTPS and S3, wherever it runs."""

    state: Path
    """The stack's own folder."""
    client: httpx.Client
    """A client with the key of the tenant `local`."""
    environment: Mapping[str, str]
    """The environment variables of programs that work on the stack: the address of AWS, and the stack's outputs."""

    def upload(self, name: str, content: bytes, **fields: str) -> dict[str, Any]:
        answer = self.client.post("/v1/documents", files={"files": (name, content)}, data=fields)
        assert answer.status_code == 202, answer.text
        return answer.json()["documents"][0]

    def document(self, document: str) -> dict[str, Any]:
        answer = self.client.get(f"/v1/documents/{document}")
        assert answer.is_success, answer.text
        return answer.json()

    def final(self, document: str, *, seconds: float = 90) -> dict[str, Any]:
        """Wait until the document's newest generation has ended. Returns the document."""

        def ended() -> dict[str, Any] | None:
            answer = self.client.get(f"/v1/documents/{document}")
            found = answer.json() if answer.is_success else None
            return found if found and found["status"] in FINAL else None

        return until(ended, seconds=seconds, what=f"document {document} ends")

    def task(self, task: str, *, seconds: float = 90) -> dict[str, Any]:
        """Wait until the task has ended. Returns the task."""

        def ended() -> dict[str, Any] | None:
            found = self.client.get(f"/v1/tasks/{task}").json()
            return found if found["state"] in {"SUCCESS", "FAILURE", "REVOKED"} else None

        return until(ended, seconds=seconds, what=f"task {task} ends")

    def search(self, query: str, **params: Any) -> dict[str, Any]:
        answer = self.client.get("/v1/search", params={"q": query, **params})
        assert answer.is_success, answer.text
        return answer.json()

    def linked(self, url: str) -> httpx.Response:
        """Follow one of the API's own links."""
        return self.client.get(url)

    def announce(self, content: bytes, **fields: Any) -> dict[str, Any]:
        """Announce an upload of this content."""
        sha256 = hashlib.sha256(content).hexdigest()
        about = {"name": "long.txt", "size": len(content), "sha256": sha256, **fields}
        answer = self.client.post("/v1/uploads", json=about)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def post(self, announced: dict[str, Any], content: bytes, **changed: str) -> int:
        """Post the content to the bucket, and return S3's response."""
        form = {**announced["fields"], **changed}
        return httpx.post(announced["url"], data=form, files={"file": ("any", content)}, trust_env=False).status_code

    def versions(self, prefix: str) -> list[str]:
        """The keys under this prefix, once for each version."""
        found = self.s3().list_object_versions(Bucket=self.bucket, Prefix=prefix)
        return [each["Key"] for each in found.get("Versions", [])]

    def s3(self) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self.environment["AWS_ENDPOINT_URL"],
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    @property
    def bucket(self) -> str:
        return self.environment["PENSTOCK_BUCKET"]

    def penstock(self, *arguments: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the command line against this stack, as a user does."""
        return subprocess.run(
            [sys.executable, "-m", "penstock.cli.main", *arguments],
            env={
                **os.environ,
                "PENSTOCK_URL": str(self.client.base_url).rstrip("/"),
                "PENSTOCK_API_KEY": self.client.headers["Authorization"].removeprefix("Bearer "),
                **environment,
            },
            cwd=self.state,
            capture_output=True,
            text=True,
            timeout=240,
            check=check,
        )


@dataclass
class RunningStack(Stack):
    """A local stack: the outputs of `penstock up`, and its process."""

    process: subprocess.Popen[bytes]


def until(ask: Callable[[], T | None], *, seconds: float, what: str) -> T:
    """Return what `ask` returns, once it is not None."""
    deadline = time.monotonic() + seconds
    while (found := ask()) is None:
        assert time.monotonic() < deadline, f"after {seconds} s still not: {what}"
        time.sleep(0.05)
    return found


@contextmanager
def running_stack(state: Path, **settings: str) -> Iterator[RunningStack]:
    """Run a local stack until the end of the context, and then end everything that it started, whatever happens.

    Args:
        settings: environment variables in addition to the ports.
    """
    ports = {"PENSTOCK_API_PORT": str(free_port()), "PENSTOCK_EMULATOR_PORT": str(free_port())}
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PENSTOCK_", "AWS_", "OPENAI_", "OPENSEARCH_URL"))
    }
    state.mkdir(parents=True, exist_ok=True)
    with (state / "up.log").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "penstock.cli.main", "up", "--state", str(state), "--no-samples"],
            env={**clean, **ports, **settings, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            start_new_session=True,
        )
    try:
        until(lambda: _said_ready(state, process), seconds=180, what="the stack is ready")
        key, url = ((state / name).read_text().strip() for name in ("api-key", "url"))
        lines = (line.partition("=") for line in (state / "env").read_text().splitlines())
        environment = {name: value for name, _, value in lines}
        with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=60) as client:
            yield RunningStack(state, client, environment, process)
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes], seconds: float = 60) -> int:
    """Send Ctrl-C, and wait for the end for a limited time."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        return process.wait(seconds)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def descendants(pid: int) -> list[int]:
    """All processes that this process started, and those that they started. Their sessions differ."""
    parents: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        parents.setdefault(int(fields[1]), []).append(int(status.parent.name))
    found, waiting = [], [pid]
    while waiting:
        children = parents.get(waiting.pop(), [])
        found += children
        waiting += children
    return found


def _said_ready(state: Path, process: subprocess.Popen[bytes]) -> bool | None:
    said = (state / "up.log").read_text(errors="replace")
    assert process.poll() is None, f"the stack ended with {process.returncode}: {said}"
    return True if "Ready" in said else None
