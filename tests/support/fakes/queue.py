"""Task queues in memory: tests can look at the messages that were sent, and receive them."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import timedelta

from penstock.domain.ids import TenantId
from penstock.domain.task import Lane, Message, Stage

LONGEST_DELAY = timedelta(minutes=15)


class FakeTaskQueue:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.sent: list[tuple[Message, Lane, timedelta]] = []
        self.letters: list[tuple[Message, str]] = []
        self.pings: list[tuple[TenantId, str, Lane]] = []

    def send(self, message: Message, lane: Lane, *, delay: timedelta = timedelta(0)) -> None:
        if not timedelta(0) <= delay <= LONGEST_DELAY:
            raise ValueError(delay)
        with self._lock:
            self.sent.append((message, lane, delay))

    def take(self) -> Message | None:
        """Remove and return the message that was sent first, whatever its lane and delay. None if the queue is
        empty."""
        with self._lock:
            return self.sent.pop(0)[0] if self.sent else None

    def dead_letter(self, message: Message, reason: str) -> None:
        with self._lock:
            self.letters.append((message, reason))

    def dead_letter_counts(self) -> Mapping[Stage, int]:
        with self._lock:
            return {stage: sum(message.stage is stage for message, _ in self.letters) for stage in Stage}

    def ping(self, tenant: TenantId, ping: str, lane: Lane) -> None:
        with self._lock:
            self.pings.append((tenant, ping, lane))

    def check(self) -> None:
        pass
