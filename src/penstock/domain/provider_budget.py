"""Pace: how much the embedding provider may be asked for in a minute, and when it is not asked at all."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Self

from penstock.domain.errors import NotYet

SILENT_AFTER = 3
"""Failures in a row after which the provider is taken to be out: one may be a connection that broke, three are not."""
FIRST_SILENCE = timedelta(seconds=15)
"""How long it is left alone then; twice as long after each probe that fails."""
LONGEST_SILENCE = timedelta(minutes=5)
PROBE = timedelta(seconds=30)
"""How long the others wait for whoever asks first after a silence; longer than a probe may take."""
LONGEST_PAUSE = timedelta(minutes=15)
"""Whatever the provider asks for."""
WHOLE = 100
STEP = 10
"""Percent of what was sent when the provider refused more, what each minute without a refusal adds again."""
LEAST = 60
"""Requests a minute to slow down from: a refusal of a minute's first requests does not tell how many it takes, and one
a second is few for any provider. What takes fewer still is found by halving, a minute for each."""
BLOCKS = 50
"""A minute's budget is leased in so many blocks: the most writes that it costs while calls are small."""

_MINUTE = 60


@dataclass(frozen=True, slots=True)
class Amount:
    """Requests, and the tokens in them."""

    requests: float = 0
    tokens: float = 0

    def __add__(self, other: Self) -> Self:
        return type(self)(self.requests + other.requests, self.tokens + other.tokens)

    def __sub__(self, other: Self) -> Self:
        return type(self)(self.requests - other.requests, self.tokens - other.tokens)

    def times(self, factor: float) -> Self:
        """Rounded down to whole ones; what has no end keeps none."""
        return type(self)(*(each if each == math.inf else math.floor(each * factor) for each in self._parts))

    def most(self, other: Self) -> Self:
        return type(self)(max(self.requests, other.requests), max(self.tokens, other.tokens))

    def least(self, other: Self) -> Self:
        return type(self)(min(self.requests, other.requests), min(self.tokens, other.tokens))

    def within(self, other: Self) -> bool:
        return self.requests <= other.requests and self.tokens <= other.tokens

    @property
    def _parts(self) -> tuple[float, float]:
        return self.requests, self.tokens


def minute_of(now: datetime) -> int:
    """Minutes since 1970, UTC."""
    return int(now.timestamp() // _MINUTE)


PLAIN = Amount(1, 1)
"""What a probe costs: a request of one word."""
UNLIMITED = Amount(math.inf, math.inf)


@dataclass(frozen=True, slots=True)
class ProviderBudget:
    """What all who share it know of their provider. Every change is a pure function of what was known before.

    A minute has a budget. Where the provider refuses more (429), what may be sent from then on in a minute is half of
    what was, and grows again by a tenth of that with each minute without a refusal. Where it does not answer at all,
    nobody asks it for a while; then one does, and the others wait for what comes of it.
    """

    minute: int = 0
    """Since 1970, UTC: what `spent` is of."""
    spent: Amount = Amount()
    """Leased by anybody in this minute."""
    before: Amount = Amount()
    """In the minute before."""
    known: Amount = Amount()
    """What was sent in a minute in which the provider refused more."""
    level: int = WHOLE
    """Percent of `known` that may be sent; all of it where nothing is known against the whole budget."""
    slowed: int = 0
    """The minute of the last refusal that slowed it down: those of calls in flight together are one sign."""
    until_slowed: Amount = Amount()
    """Of what was leased in this minute, before that refusal: the provider has seen to that."""
    failures: int = 0
    """Without an answer, in a row."""
    closed: datetime | None = None
    """Nobody asks before this."""
    probing: bool = False
    """Somebody is finding out, after a silence, whether it is there again."""
    revision: int = 0

    @property
    def silent(self) -> bool:
        """Whether the provider is out, as far as is known."""
        return self.failures >= SILENT_AFTER

    def rest(self, now: datetime) -> float:
        """Seconds until somebody may ask. A pause beyond the longest is of a clock that is wrong, and none."""
        left = self.closed - now if self.closed else timedelta(0)
        return left.total_seconds() if timedelta(0) < left <= LONGEST_PAUSE else 0.0

    def leased(self, now: datetime, need: Amount, limit: Amount) -> tuple[Self, Amount]:
        """With a block taken of this minute, at least what is needed; the block. A minute of which nothing is spent
        lets anything through, so that there is always progress. What follows a silence is a probe: no one else asks
        until its end, or until it is answered.

        Raises:
            NotYet: nobody is to ask now, or what is left of the minute is too little.
        """
        if rest := self.rest(now):
            raise NotYet(why=self._why, retry_after=rest)
        pace = self._at(now)
        allowed = pace.allowed(limit)
        wanted = need if limit == UNLIMITED else need.most(allowed.times(1 / BLOCKS))
        block = wanted.least(allowed - pace.spent).most(need) if not self.silent else need
        taken = block + PLAIN if self.silent else block
        if pace.spent.requests and not (pace.spent + taken).within(allowed):
            raise NotYet(why="its budget of this minute is used up", retry_after=_MINUTE - now.timestamp() % _MINUTE)
        pace = replace(pace, spent=pace.spent + taken, closed=None)
        return (replace(pace, closed=now + PROBE, probing=True) if self.silent else pace), block

    def allowed(self, limit: Amount) -> Amount:
        """In this minute."""
        if self.level == WHOLE:
            return limit
        return (self.until_slowed + self.known.times(self.level / WHOLE).most(Amount(1, 1))).least(limit)

    def answered(self) -> Self:
        """It is there: this same pace, where that was known."""
        return replace(self, failures=0, closed=None, probing=False) if self.failures else self

    def refused(self, now: datetime, pause: float, need: Amount, limit: Amount) -> Self:
        """It asks to be asked less, and not before so many seconds."""
        pace = self._at(now)
        until = now + min(timedelta(seconds=pause), LONGEST_PAUSE)
        closed = until if self.closed is None or self.silent else max(until, self.closed)
        pace = replace(pace, failures=0, closed=closed, probing=False)
        if pace.slowed == pace.minute:
            return pace
        known = pace.known
        if pace.level == WHOLE:
            known = pace.spent.most(pace.before).most(Amount(LEAST, LEAST * need.tokens)).least(limit)
        level = max(pace.level // 2, STEP // 2)
        return replace(pace, known=known, level=level, slowed=pace.minute, until_slowed=pace.spent)

    def failed(self, now: datetime, pause: float = 0) -> Self:
        """It did not answer, or not sensibly. `pause`: seconds it asked for, where it did. What was in flight when it
        was found to be out tells nothing new."""
        if self.silent and not self.probing and self.rest(now):
            return self
        failures = self.failures + 1
        if failures < SILENT_AFTER:
            return replace(self, failures=failures)
        silence = min(FIRST_SILENCE * 2 ** min(failures - SILENT_AFTER, 10), LONGEST_SILENCE)
        silence = max(silence, min(timedelta(seconds=pause), LONGEST_PAUSE))
        return replace(self, failures=failures, closed=now + silence, probing=False)

    @property
    def _why(self) -> str:
        return "it does not answer" if self.silent else "it asked for a pause"

    def _at(self, now: datetime) -> Self:
        """In the minute that is now. Clocks differ: a minute that is the next already is left as it is, but one further
        on is of a clock that is wrong, and nobody waits for it."""
        passed = minute_of(now) - self.minute
        if passed in {0, -1}:
            return self
        quiet = max(0, passed - (self.slowed == self.minute))
        return replace(
            self,
            minute=minute_of(now),
            spent=Amount(),
            before=self.spent if passed == 1 else Amount(),
            until_slowed=Amount(),
            level=min(WHOLE, self.level + STEP * quiet),
        )


BYTES_PER_TOKEN = 4
"""Of UTF-8. A rule of thumb for English and for the tokenizers of today; other scripts have fewer bytes a token."""
