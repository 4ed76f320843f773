"""The rate limiter: keeps one process's calls to the embedding provider within the budget that all processes share."""

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
    """Leases a block of the minute's budget from the table, and lets calls through until the block is used up: while
    calls are small, one write serves many of them.

    A process learns what the others found out with each block that it leases. What it finds out itself it writes at
    once.
    """

    def __init__(
        self,
        table: ProviderBudgetTable,
        model: str,
        clock: Clock,
        *,
        limit: Amount = UNLIMITED,
        calls: int = 8,
        backs_off: bool = True,
    ) -> None:
        """
        Args:
            limit: the budget of a minute.
            calls: the maximum number of calls that run at once.
            backs_off: whether a refusal, or a header that says that nothing is left, holds back later calls. It is
                False for calls that somebody waits for: those are made all the same.
        """
        self.table, self._model = table, model
        self.clock, self.limit = clock, limit
        self._calls, self._backs_off = calls, backs_off
        self._slots = threading.BoundedSemaphore(calls)
        self._lock = threading.Lock()
        self._known: ProviderBudget | None = None
        self._block, self._block_minute = Amount(), 0
        self._paused_until: datetime | None = None

    @contextmanager
    def slot(self, seconds: float) -> Iterator[None]:
        """Hold one of the calls that may run at once, after waiting at most this many seconds for it.

        Raises:
            Transient: no running call ended in that time.
        """
        if not self._slots.acquire(timeout=seconds):
            raise Transient(
                why=f"{self._calls} calls of this process wait for the embedding provider already "
                "(PENSTOCK_PROVIDER_CALLS)"
            )
        try:
            yield
        finally:
            self._slots.release()

    def acquire(self, need: Amount) -> bool:
        """Take this amount from the block that is left, or from a new block.

        Returns:
            Whether the provider was out when it was last called. The caller then has to probe it first, by a call that
            costs next to nothing.

        Raises:
            NotYet: the provider must not be called now.
            Transient: the table did not answer.
        """
        with self._lock:
            now = self.clock()
            if self._paused_until is not None and now < self._paused_until:
                pause = (self._paused_until - now).total_seconds()
                raise NotYet(why="it said that no more is left for now", retry_after=pause)
            if self._block_is_void(now):
                self._block = Amount()
            elif need.within(self._block):
                self._block -= need
                return False
            missing = (need - self._block).maximum(Amount())
            budget, block = self._update(lambda budget: budget.leased(now, missing, self.limit))
            self._block, self._block_minute = self._block + block - need, budget.minute
            return budget.silent

    def _block_is_void(self, now: datetime) -> bool:
        """Whether the block is of an earlier minute, or the provider must not be called."""
        known = self._known
        return known is None or self._block_minute != minute_of(now) or known.silent or known.seconds_closed(now) > 0

    def record_answer(self, unused: float = 0, pause: float = 0) -> None:
        """Record that the provider answered.

        Args:
            unused: how many of the acquired tokens the call did not use. It is negative where the call used more.
            pause: the number of seconds until the provider takes as much again.
        """
        with self._lock:
            self._block += Amount(tokens=unused)
            if pause and self._backs_off:
                self._paused_until = self.clock() + timedelta(seconds=pause)
            if self._known is not None and self._known.failures:
                self._share(lambda budget: budget.answered())

    def record_refusal(self, why: str, need: Amount, pause: float) -> NotYet:
        """Record that the provider refused more (status 429) and asked for a pause of this many seconds.

        Returns:
            The error for the caller to raise.
        """
        with self._lock:
            now = self.clock()
            if not self._backs_off:
                return NotYet(why=why, retry_after=pause)
            self._block = Amount()
            budget = self._share(lambda budget: budget.refused(now, pause, need, self.limit))
            return NotYet(why=why, retry_after=max(pause, budget.seconds_closed(now)))

    def record_failure(self, why: str, pause: float | None) -> Transient:
        """Record that the provider did not answer, or not sensibly.

        Returns:
            The error for the caller to raise. It is a NotYet, which counts as no attempt, when the provider is known to
            be out.
        """
        with self._lock:
            now = self.clock()
            budget = self._share(lambda budget: budget.failed(now, pause or 0))
            if budget.silent:
                self._block = Amount()
                return NotYet(why=why, retry_after=budget.seconds_closed(now))
            return Transient(why=why, retry_after=pause)

    def _share(self, change: Callable[[ProviderBudget], ProviderBudget]) -> ProviderBudget:
        """Write what was found out to the table, for all processes. A failure of the table is only logged: it must not
        hide what the provider answered."""
        try:
            return self._update(lambda budget: (change(budget), None))[0]
        except PenstockError as error:
            log.warning("the budget of %s is not shared: %s", self._model, error)
            return change(self._known or ProviderBudget())

    def _update(self, decide: Callable[[ProviderBudget], tuple[ProviderBudget, T]]) -> tuple[ProviderBudget, T]:
        """Apply a decision to the stored budget, and apply it again to the newer one where another process wrote first.

        The first try uses what this process knew last, which costs no read. Where that is enough to refuse, it costs no
        write either.
        """
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
