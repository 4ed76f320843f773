"""What the headers of an OpenAI-compatible provider say of how soon it may be asked again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from penstock.domain.provider_budget import Amount

_UNITS = {"d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|[dhms])")
LONGEST = 60.0
"""Seconds; limits are of a minute, and whoever has a longer one says so with a 429."""


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """What Retry-After says: seconds, or a date; `retry-after-ms` is finer. None where neither can be read. `now`: in
    seconds since 1970."""
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


def until_room(headers: Mapping[str, str], need: Amount) -> float:
    """Seconds until the provider takes as much again, by its own account (OpenAI, "Rate limits", "Rate limits in
    headers"): 0 where enough remains, or where it says nothing.

    `x-ratelimit-reset-…` is when all of the limit is there again; what is needed of it, if it fills steadily, is there
    sooner.
    """
    waits = (_until(headers, "requests", need.requests), _until(headers, "tokens", need.tokens))
    return min(LONGEST, max(waits))


def _until(headers: Mapping[str, str], kind: str, need: float) -> float:
    remaining, limit = (_number(headers.get(f"x-ratelimit-{of}-{kind}")) for of in ("remaining", "limit"))
    reset = duration(headers.get(f"x-ratelimit-reset-{kind}"))
    if remaining is None or reset is None or remaining >= need:
        return 0.0
    if limit is None or limit <= remaining:
        return reset
    return reset * min(1.0, (need - remaining) / (limit - remaining))


def duration(text: str | None) -> float | None:
    """Seconds of "1s", "6m0s", "17ms" or "1h2m3.5s"; a bare number is of seconds. None of anything else."""
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
