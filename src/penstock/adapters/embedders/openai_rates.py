"""The headers by which an OpenAI-compatible provider says how soon it may be called again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from penstock.domain.provider_budget import Amount

_UNITS = {"d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|[dhms])")
LONGEST = 60.0
"""The longest pause that is read from rate limit headers, in seconds. Limits are per minute, and a provider that has a
longer one says so with a 429."""


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """The number of seconds that Retry-After asks for, by a number or a date, or that the finer `retry-after-ms` asks
    for. It is None where neither can be read. `now` is in seconds since 1970."""
    milliseconds, after = headers.get("retry-after-ms"), headers.get("retry-after")
    try:
        if milliseconds is not None:
            return max(0.0, float(milliseconds) / 1000)
        if after is None:
            return None
        if after.strip().isdigit():
            return float(after)
        return max(0.0, parsedate_to_datetime(after).timestamp() - now)
    except ValueError:
        return None


def seconds_until_capacity(headers: Mapping[str, str], need: Amount) -> float:
    """The number of seconds until the provider takes this amount, by its own account (OpenAI, "Rate limits", "Rate
    limits in headers"). It is 0 where enough remains, or where the headers say nothing.

    `x-ratelimit-reset-…` says when the whole limit is available again. If it refills steadily, the part that is needed
    is available sooner.
    """
    waits = (_seconds_until(headers, "requests", need.requests), _seconds_until(headers, "tokens", need.tokens))
    return min(LONGEST, max(waits))


def _seconds_until(headers: Mapping[str, str], kind: str, need: float) -> float:
    remaining, limit = (_number(headers.get(f"x-ratelimit-{of}-{kind}")) for of in ("remaining", "limit"))
    reset = duration(headers.get(f"x-ratelimit-reset-{kind}"))
    if remaining is None or reset is None or remaining >= need:
        return 0.0
    if limit is None or limit <= remaining:
        return reset
    return reset * min(1.0, (need - remaining) / (limit - remaining))


def duration(text: str | None) -> float | None:
    """The number of seconds in "1s", "6m0s", "17ms" or "1h2m3.5s". A bare number counts as seconds; any other text
    gives None."""
    if text is None:
        return None
    found = list(_DURATION.finditer(text))
    if found and "".join(each[0] for each in found) == text:
        return sum(float(each[1]) * _UNITS[each[2]] for each in found)
    return _number(text)


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None
