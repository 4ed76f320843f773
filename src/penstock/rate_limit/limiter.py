"""Turnstile: lets a process's calls through to the embedding provider, at the pace that all who share it keep."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TypeVar

from penstock.domain.errors import Conflict, NotYet, PenstockError, Transient
from penstock.domain.provider_budget import UNLIMITED, Amount, ProviderBudget, minute_of
from penstock.ports import Clock, ProviderBudgetTable

log = logging.getLogger(__name__)

T = TypeVar("T")

_TRIES = 50  # each lost race means that another process got its block


class RateLimiter:
    """Asks the table for a block of the minute's budget, and lets calls through until it is used up: one write for many
    calls, while they are small. What a process has heard of the others it knows from its last block; what it finds out
    itself it tells at once."""

    def __init__(
        self,
        table: ProviderBudgetTable,
        model: str,
        clock: Clock,
        *,
        limit: Amount = UNLIMITED,
        calls: int = 8,
        slows: bool = True,
    ) -> None:
        """`calls`: as many at once, at most. `slows`: whether what the provider refuses or has left slows it down; what
        somebody waits for is asked all the same."""
        self.table, self._model = table, model
        self.clock, self.limit = clock, limit
        self._calls, self._slows = calls, slows
        self._free = threading.BoundedSemaphore(calls)
        self._lock = threading.Lock()
        self._known: ProviderBudget | None = None
        self._left, self._minute = Amount(), 0
        self._opens: datetime | None = None

    @contextmanager
    def turn(self, seconds: float) -> Iterator[None]:
        """One of the calls that may run at once; waits so long for the end of another.

        Raises:
            Transient: none ended.
        """
        if not self._free.acquire(timeout=seconds):
            raise Transient(
                why=f"{self._calls} calls of this process wait for the embedding provider already "
                "(PENSTOCK_PROVIDER_CALLS)"
            )
        try:
            yield
        finally:
            self._free.release()

    def enter(self, need: Amount) -> bool:
        """Take what is needed out of the block, or out of a new one. Whether the provider was out when it was last
        asked: find out first, by a call that costs next to nothing.

        Raises:
            NotYet: the provider is not to be asked now.
            Transient: the table did not answer.
        """
        with self._lock:
            now = self.clock()
            if self._opens is not None and now < self._opens:
                rest = (self._opens - now).total_seconds()
                raise NotYet(why="it said that no more is left for now", retry_after=rest)
            if self._minute != minute_of(now) or self._known is None or self._known.silent or self._known.rest(now):
                self._left = Amount()
            elif need.within(self._left):
                self._left -= need
                return False
            missing = (need - self._left).most(Amount())
            pace, block = self._revised(lambda pace: pace.leased(now, missing, self.limit))
            self._left, self._minute = self._left + block - need, pace.minute
            return pace.silent

    def answered(self, unused: float = 0, pause: float = 0) -> None:
        """It did. `unused`: tokens fewer than were taken out; `pause`: seconds until it takes as much again."""
        with self._lock:
            self._left += Amount(tokens=unused)
            if pause and self._slows:
                self._opens = self.clock() + timedelta(seconds=pause)
            if self._known is not None and self._known.failures:
                self._tell(lambda pace: pace.answered())

    def refused(self, why: str, need: Amount, pause: float) -> NotYet:
        """It is asked too much, and says for how long not to. The error to raise."""
        with self._lock:
            now = self.clock()
            if not self._slows:
                return NotYet(why=why, retry_after=pause)
            self._left = Amount()
            pace = self._tell(lambda pace: pace.refused(now, pause, need, self.limit))
            return NotYet(why=why, retry_after=max(pause, pace.rest(now)))

    def failed(self, why: str, pause: float | None) -> Transient:
        """It did not answer, or not sensibly. The error to raise: no attempt, where others had no answer either."""
        with self._lock:
            now = self.clock()
            pace = self._tell(lambda pace: pace.failed(now, pause or 0))
            if pace.silent:
                self._left = Amount()
                return NotYet(why=why, retry_after=pace.rest(now))
            return Transient(why=why, retry_after=pause)

    def _tell(self, change: Callable[[ProviderBudget], ProviderBudget]) -> ProviderBudget:
        """What was found out, for all to know. The table's own failure must not stand before what is to be told."""
        try:
            return self._revised(lambda pace: (change(pace), None))[0]
        except PenstockError as error:
            log.warning("the pace of %s is not told: %s", self._model, error)
            return change(self._known or ProviderBudget())

    def _revised(self, decide: Callable[[ProviderBudget], tuple[ProviderBudget, T]]) -> tuple[ProviderBudget, T]:
        """What is known and what was decided on it; from the start again, where another process was faster. What this
        one knew last costs no read, and where that is enough to say no, no write."""
        before = self._known or self.table.read(self._model)
        for _ in range(_TRIES):
            held = before or ProviderBudget()
            after, result = decide(held)
            if after is held:
                self._known = held
                return held, result
            try:
                self._known = self.table.write(self._model, before, after)
            except Conflict:
                before = self._known = self.table.read(self._model)
            else:
                return self._known, result
        raise NotYet(why="too many want a part of its budget at once", retry_after=1)
