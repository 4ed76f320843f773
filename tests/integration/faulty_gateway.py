"""A proxy in front of the emulator that spoils answers of SQS as networks and services do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from tests.faults.proxy import is_silent, reset
from tests.support.counting_proxy import Answer, Override, Request, Sender, Watcher, counting_proxy

__all__ = ["answers", "faulty_gateway", "is_silent", "reset"]


def answers(status: int, body: bytes) -> Override:
    """A fault: the client gets this answer instead of SQS's."""
    return lambda sender: Answer(status, {"Content-Type": "application/x-amz-json-1.0"}, body)


class FaultyGateway(Watcher):
    """Forwards all requests except those that are to be spoiled."""

    url = ""

    def __init__(self) -> None:
        self.spoiled = 0
        self.received: list[str] = []
        self._fault: Override | None = None
        self._operation = ""
        self._left = 0
        self._lock = Lock()

    def spoil(self, fault: Override, times: int, operation: str = "ReceiveMessage") -> None:
        """Answer the next requests for this operation with this fault."""
        with self._lock:
            self._fault, self._left, self._operation = fault, times, f"SQS.{operation}"

    def before_forwarding(self, request: Request, sender: Sender) -> Override | None:
        with self._lock:
            if request.operation == "SQS.ReceiveMessage":
                self.received.append(request.body.decode())
            if not self._left or request.operation != self._operation:
                return None
            self._left -= 1
            self.spoiled += 1
            return self._fault


@contextmanager
def faulty_gateway(upstream: str) -> Iterator[FaultyGateway]:
    gateway = FaultyGateway()
    with counting_proxy(upstream, gateway) as meter:
        gateway.url = meter.url
        yield gateway
