"""The budget of an embedding provider: how much it may be sent in a minute, and when it is not called at all."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Self

from penstock.domain.errors import NotYet

BYTES_PER_TOKEN = 4
"""The assumed number of UTF-8 bytes in a token. It is a rule of thumb for English and for the tokenizers of today;
other scripts have fewer bytes in a token."""
SILENT_AFTER = 3
"""The number of failures in a row after which the provider is taken to be out. One failure may be a broken connection;
three are not."""
FIRST_SILENCE = timedelta(seconds=15)
"""How long a provider that is out is not called at first. Each probe that fails doubles the time."""
LONGEST_SILENCE = timedelta(minutes=5)
PROBE = timedelta(seconds=30)
"""How long all other callers wait for the result of a probe. It is longer than a probe may take."""
LONGEST_PAUSE = timedelta(minutes=15)
"""A pause is never longer than this, whatever the provider asks for."""
FULL_LEVEL = 100
LEVEL_STEP = 10
"""How much of the rate is restored by each minute without a refusal, in percent of what was sent when the provider
refused more."""
LEAST_REQUESTS = 60
"""The rate from which the first refusal slows down, in requests per minute, is at least this. A refusal of the first
requests of a minute does not show how many the provider takes, and one request per second is few for any provider. What
takes fewer still is found by halving, one minute for each step."""
BLOCKS = 50
"""The number of blocks in which the budget of a minute is leased. While calls are small, a minute costs at most this
many writes."""

_MINUTE = 60


@dataclass(frozen=True, slots=True)
class Amount:
    """A number of requests, and the number of tokens in them."""

    requests: float = 0
    tokens: float = 0

    def __add__(self, other: Self) -> Self:
        return type(self)(self.requests + other.requests, self.tokens + other.tokens)

    def __sub__(self, other: Self) -> Self:
        return type(self)(self.requests - other.requests, self.tokens - other.tokens)

    def times(self, factor: float) -> Self:
        """This amount multiplied by `factor` and rounded down to whole numbers. Infinity stays infinity."""
        return type(self)(*(each if each == math.inf else math.floor(each * factor) for each in self._parts))

    def maximum(self, other: Self) -> Self:
        """The larger number of requests, and the larger number of tokens."""
        return type(self)(max(self.requests, other.requests), max(self.tokens, other.tokens))

    def minimum(self, other: Self) -> Self:
        """The smaller number of requests, and the smaller number of tokens."""
        return type(self)(min(self.requests, other.requests), min(self.tokens, other.tokens))

    def within(self, other: Self) -> bool:
        return self.requests <= other.requests and self.tokens <= other.tokens

    @property
    def _parts(self) -> tuple[float, float]:
        return self.requests, self.tokens


def minute_of(now: datetime) -> int:
    """The number of whole minutes since 1970, in UTC."""
    return int(now.timestamp() // _MINUTE)


PROBE_COST = Amount(1, 1)
"""The cost of a probe: a request of one word."""
UNLIMITED = Amount(math.inf, math.inf)


@dataclass(frozen=True, slots=True)
class ProviderBudget:
    """What all processes that share a provider's budget know about that provider. Each change is a pure function of
    what was known before.

    Each minute has a budget. When the provider refuses more (status 429), the rate is halved, and each minute without a
    refusal restores a tenth of what it was. When the provider does not answer at all, nobody calls it for a while, as
    with an open circuit breaker; then one caller probes it, and the others wait for the result.
    """

    minute: int = 0
    """The minute that `spent` belongs to, as a number of minutes since 1970, in UTC."""
    spent: Amount = Amount()
    """The amount that all processes together have leased in this minute."""
    spent_last_minute: Amount = Amount()
    known: Amount = Amount()
    """The amount that was sent in a minute in which the provider refused more."""
    level: int = FULL_LEVEL
    """The percentage of `known` that may be sent in a minute. At 100 the whole budget may be sent."""
    slowed: int = 0
    """The minute of the last refusal that halved the rate. All refusals of one minute count once, since they answer
    calls that were in flight together."""
    until_slowed: Amount = Amount()
    """The part of this minute's leases that came before that refusal. It does not count against the halved rate: the
    provider has already dealt with it."""
    failures: int = 0
    """The number of calls in a row that the provider did not answer."""
    closed: datetime | None = None
    """The time before which nobody calls the provider."""
    probing: bool = False
    """Whether some process is finding out, after a silence, if the provider answers again."""
    revision: int = 0

    @property
    def silent(self) -> bool:
        """Whether the provider is out, as far as is known."""
        return self.failures >= SILENT_AFTER

    def seconds_closed(self, now: datetime) -> float:
        """The number of seconds until somebody may call the provider. A pause longer than the longest comes from a
        wrong clock, and counts as none."""
        left = self.closed - now if self.closed else timedelta(0)
        return left.total_seconds() if timedelta(0) < left <= LONGEST_PAUSE else 0.0

    def leased(self, now: datetime, need: Amount, limit: Amount) -> tuple[Self, Amount]:
        """The budget after a block of this minute was leased, and that block, which is at least `need`.

        A minute in which nothing is spent lets any call through, so that there is always progress. The first call after
        a silence is a probe: nobody else calls the provider until the probe is answered or has had its time.

        Raises:
            NotYet: the provider must not be called now, or too little is left of the minute.
        """
        if seconds := self.seconds_closed(now):
            raise NotYet(why=self._why_closed, retry_after=seconds)
        budget = self._in_minute_of(now)
        allowed = budget.allowed(limit)
        wanted = need if limit == UNLIMITED else need.maximum(allowed.times(1 / BLOCKS))
        block = wanted.minimum(allowed - budget.spent).maximum(need) if not self.silent else need
        cost = block + PROBE_COST if self.silent else block
        if budget.spent.requests and not (budget.spent + cost).within(allowed):
            raise NotYet(why="its budget of this minute is used up", retry_after=_MINUTE - now.timestamp() % _MINUTE)
        budget = replace(budget, spent=budget.spent + cost, closed=None)
        return (replace(budget, closed=now + PROBE, probing=True) if self.silent else budget), block

    def allowed(self, limit: Amount) -> Amount:
        """The amount that may be sent in this minute."""
        if self.level == FULL_LEVEL:
            return limit
        return (self.until_slowed + self.known.times(self.level / FULL_LEVEL).maximum(Amount(1, 1))).minimum(limit)

    def answered(self) -> Self:
        """The budget after the provider answered. It is this same object if the provider was known to answer."""
        return replace(self, failures=0, closed=None, probing=False) if self.failures else self

    def refused(self, now: datetime, pause: float, need: Amount, limit: Amount) -> Self:
        """The budget after the provider refused more (status 429) and asked for a pause of this many seconds."""
        budget = self._in_minute_of(now)
        until = now + min(timedelta(seconds=pause), LONGEST_PAUSE)
        closed = until if self.closed is None or self.silent else max(until, self.closed)
        budget = replace(budget, failures=0, closed=closed, probing=False)
        if budget.slowed == budget.minute:
            return budget
        known = budget.known
        if budget.level == FULL_LEVEL:
            least = Amount(LEAST_REQUESTS, LEAST_REQUESTS * need.tokens)
            known = budget.spent.maximum(budget.spent_last_minute).maximum(least).minimum(limit)
        level = max(budget.level // 2, LEVEL_STEP // 2)
        return replace(budget, known=known, level=level, slowed=budget.minute, until_slowed=budget.spent)

    def failed(self, now: datetime, pause: float = 0) -> Self:
        """The budget after the provider did not answer, or not sensibly. `pause` is the number of seconds that the
        provider asked for, if it did. A call that was in flight when the provider was found to be out says nothing
        new."""
        if self.silent and not self.probing and self.seconds_closed(now):
            return self
        failures = self.failures + 1
        if failures < SILENT_AFTER:
            return replace(self, failures=failures)
        silence = min(FIRST_SILENCE * 2 ** min(failures - SILENT_AFTER, 10), LONGEST_SILENCE)
        silence = max(silence, min(timedelta(seconds=pause), LONGEST_PAUSE))
        return replace(self, failures=failures, closed=now + silence, probing=False)

    @property
    def _why_closed(self) -> str:
        return "it does not answer" if self.silent else "it asked for a pause"

    def _in_minute_of(self, now: datetime) -> Self:
        """This budget moved on to the current minute. Clocks differ: a budget that is one minute ahead stays as it is,
        but one that is further ahead comes from a wrong clock, and nobody waits for it."""
        passed = minute_of(now) - self.minute
        if passed in {0, -1}:
            return self
        minutes_without_refusal = max(0, passed - (self.slowed == self.minute))
        return replace(
            self,
            minute=minute_of(now),
            spent=Amount(),
            spent_last_minute=self.spent if passed == 1 else Amount(),
            until_slowed=Amount(),
            level=min(FULL_LEVEL, self.level + LEVEL_STEP * minutes_without_refusal),
        )
