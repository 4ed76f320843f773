"""The fault proxy. One stands between each process and AWS, and one before the provider. It does to chosen requests
what networks, services and power failures do, and counts how often each fault was done."""

from __future__ import annotations

import http.client
import json
import os
import random
import re
import select
import signal
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock
from urllib.parse import unquote, urlsplit

from tests.support.counting_proxy import Answer, Override, Request, Sender, Watcher
from tests.support.processes import is_alive

_LONGEST = 100.0
"""The maximum time of silence, or of holding a request, in seconds. It is longer than any client waits."""
_SLOW = 4.0


@dataclass(frozen=True)
class Caught:
    """A request that a fault is done to."""

    request: Request
    upstream: str
    pid: Callable[[], int]
    """Returns the id of the process that sent the request."""
    chance: random.Random


@dataclass(frozen=True)
class Fault:
    """A fault, and whether the request takes effect before it. If its action returns None, the request is forwarded and
    answered after all."""

    name: str
    do: Callable[[Caught], Override | None]
    after: bool = False


def _answers(name: str, tell: Callable[[Request], Answer]) -> Fault:
    return Fault(name, lambda caught: lambda sender: tell(caught.request))


def _service(request: Request) -> str:
    return request.operation.partition(".")[0]


def _error(request: Request, status: int, code: str, headers: dict[str, str] | None = None) -> Answer:
    """An error in the form of the service that is asked."""
    if _service(request) == "S3":
        body = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>-</Message></Error>'
        return Answer(status, {"Content-Type": "application/xml"}, body.encode())
    if _service(request) == "Provider":
        error = {"error": {"message": code, "type": "server_error", "code": code, "param": None}}
        return Answer(status, {"Content-Type": "application/json", **(headers or {})}, json.dumps(error).encode())
    error = {"__type": f"com.amazonaws.{_service(request).lower()}#{code}", "message": "-"}
    return Answer(status, {"Content-Type": "application/x-amz-json-1.0"}, json.dumps(error).encode())


def _internal(request: Request) -> Answer:
    return _error(
        request, 500, {"S3": "InternalError", "Provider": "server_error"}.get(_service(request), "InternalServerError")
    )


def _unavailable(request: Request) -> Answer:
    return _error(request, 503, "ServiceUnavailable")


def _throttled(request: Request) -> Answer:
    status, code = {
        "S3": (503, "SlowDown"),
        "SQS": (400, "RequestThrottled"),
        "DynamoDB": (400, "ProvisionedThroughputExceededException"),
        "Provider": (429, "rate_limit_exceeded"),
    }[_service(request)]
    return _error(request, status, code, {"Retry-After": "1"})


def _garbage(caught: Caught) -> Override:
    """An answer as a proxy in between might give it, in UTF-8 or not."""
    page = b"<html>Sign in to the network</html>" + caught.chance.choice([b"", b"\xff\xfe"])
    return lambda sender: Answer(200, {"Content-Type": "text/html"}, page)


def reset(sender: Sender) -> None:
    """Reset the connection."""
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sender.close()


def is_silent(sender: Sender) -> None:
    """Say nothing until the client gives up."""
    end = time.monotonic() + _LONGEST
    while time.monotonic() < end:
        readable, _, _ = select.select([sender], [], [], 0.5)
        if readable and not sender.recv(1, socket.MSG_PEEK):
            return


def _slow(caught: Caught) -> None:
    time.sleep(caught.chance.uniform(1, _SLOW))


def owner(sender: Sender) -> int:
    """The process at the other end of this local connection."""
    port = sender.getpeername()[1]
    inode = next(
        fields[9]
        for fields in map(str.split, Path("/proc/net/tcp").read_text().splitlines()[1:])
        if int(fields[1].rpartition(":")[2], 16) == port and fields[9] != "0"
    )
    wanted = f"socket:[{inode}]"
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(str(each.readlink()) == wanted for each in (process / "fd").iterdir()):
                return int(process.name)
        except OSError:
            continue
    raise LookupError(f"nobody holds port {port}")


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    while is_alive(pid):
        time.sleep(0.01)


def _kills_process(caught: Caught) -> Override:
    def deed(sender: Sender) -> None:
        _kill(caught.pid())
        reset(sender)

    return deed


def _kills_child(caught: Caught) -> Override:
    def deed(sender: Sender) -> None:
        _kill(owner(sender))
        reset(sender)

    return deed


def _resets(caught: Caught) -> Override:
    return reset


def _again(caught: Caught) -> None:
    """Copies of a message that is sent: one at once, others after the message was processed."""
    for delay in (0, 2, caught.chance.randint(3, 12)):
        _send(caught, delay)


def _reordered(caught: Caught) -> Override:
    """Delay a message that is sent by a random time, so that it arrives after later ones."""
    answer = _send(caught, caught.chance.randint(0, 6))
    return lambda sender: answer


def _send(caught: Caught, delay: int) -> Answer:
    body = json.dumps({**json.loads(caught.request.body), "DelaySeconds": delay}).encode()
    place = urlsplit(caught.upstream)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=60)
    try:
        connection.request(
            "POST", caught.request.target, body, {**caught.request.headers, "content-length": str(len(body))}
        )
        answer = connection.getresponse()
        return Answer(answer.status, dict(answer.getheaders()), answer.read())
    finally:
        connection.close()


FAULTS = {
    fault.name: fault
    for fault in (
        _answers("500", _internal),
        _answers("503", _unavailable),
        _answers("throttle", _throttled),
        Fault("reset before the effect", _resets),
        Fault("reset after the effect", _resets, after=True),
        Fault("silence", lambda caught: is_silent),
        Fault("garbage", _garbage),
        Fault("slow", _slow),  # type: ignore[arg-type]  # returns None: it is passed on
        Fault("SIGKILL before", _kills_process),
        Fault("SIGKILL after", _kills_process, after=True),
        Fault("SIGKILL of the child before", _kills_child),
        Fault("SIGKILL of the child after", _kills_child, after=True),
        Fault("copies", _again),  # type: ignore[arg-type]
        Fault("reordered", _reordered),
    )
}

KILLS = (FAULTS["SIGKILL before"], FAULTS["SIGKILL after"])
"""The faults that kill the process itself. A child process that it starts again does not count."""


@dataclass
class Trap:
    """A fault, and the requests that it waits for."""

    fault: Fault
    process: str
    """A pattern for the name of the program that sends the request."""
    operation: str
    """A pattern for `Service.Operation`."""
    marks: tuple[str, ...] = ()
    """Words of which the address or the body must have one. If there are none, every request matches."""
    skip: int = 0
    """The number of matching requests that pass before the fault is done."""
    times: int = 1
    word: str = ""
    """A pattern that the body must have too."""
    fired: int = 0
    met: list[str] = field(default_factory=list)
    """The sender and the operation of each request that the fault was done to."""

    def wants(self, process: str, request: Request) -> bool:
        if self.fired >= self.times or not re.fullmatch(self.process, process):
            return False
        if not re.fullmatch(self.operation, request.operation):
            return False
        if self.marks and not any(
            mark in unquote(request.target) or mark.encode() in request.body for mark in self.marks
        ):
            return False
        if self.word and not re.search(self.word.encode(), request.body):
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.fired += 1
        self.met.append(f"{process} {request.operation}")
        return True


class Held:
    """A fault that holds requests until they are released."""

    def __init__(self) -> None:
        self.reached, self.released = Event(), Event()
        self.fault = Fault("held", self._keep)

    def _keep(self, caught: Caught) -> None:
        self.reached.set()
        self.released.wait(_LONGEST)


class Seen:
    """No fault: the requests are recorded and forwarded."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.fault = Fault("seen", self._keep)

    def _keep(self, caught: Caught) -> None:
        self.requests.append(caught.request)


class Traps:
    """All traps that are set, for the requests of all processes."""

    def __init__(self) -> None:
        self._traps: list[Trap] = []
        self._lock = Lock()

    def set(self, trap: Trap) -> Trap:
        with self._lock:
            self._traps.append(trap)
        return trap

    def drop(self, trap: Trap) -> None:
        with self._lock:
            self._traps.remove(trap)

    def for_request(self, process: str, request: Request) -> Fault | None:
        with self._lock:
            return next((trap.fault for trap in self._traps if trap.wants(process, request)), None)


class Gate(Watcher):
    """The watcher of one process's proxy."""

    def __init__(
        self, traps: Traps, process: str, upstream: str, pid: Callable[[], int], chance: random.Random
    ) -> None:
        self._traps, self._process, self._upstream, self._pid, self._chance = traps, process, upstream, pid, chance
        self._after: dict[int, Fault] = {}

    def before_forwarding(self, request: Request, sender: Sender) -> Override | None:
        fault = self._traps.for_request(self._process, request)
        if fault is None:
            return None
        if fault.after:
            self._after[id(request)] = fault
            return None
        return fault.do(self._caught(request))

    def before_answering(self, request: Request, status: int) -> Override | None:
        fault = self._after.pop(id(request), None)
        return fault.do(self._caught(request)) if fault else None

    def _caught(self, request: Request) -> Caught:
        return Caught(request, self._upstream, self._pid, self._chance)
