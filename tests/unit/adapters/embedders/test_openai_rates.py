"""The headers by which the provider says when it may be called again."""

from __future__ import annotations

import pytest

from penstock.adapters.embedders.openai_rates import LONGEST, duration, retry_after, seconds_until_capacity
from penstock.domain.provider_budget import Amount


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1s", 1),
        ("6m0s", 360),
        ("17ms", 0.017),
        ("1h2m3.5s", 3723.5),
        ("2m59.56s", 179.56),
        ("20", 20),
        ("0", 0),
        ("", None),
        ("soon", None),
        ("1s later", None),
        ("-1", None),
        ("inf", None),
        ("nan", None),
        (None, None),
    ],
)
def test_durations_as_providers_write_them(text: str | None, seconds: float | None) -> None:
    assert duration(text) == (pytest.approx(seconds) if seconds is not None else None)


def rate_headers(**headers: str) -> dict[str, str]:
    return {f"x-ratelimit-{name.replace('_', '-')}": value for name, value in headers.items()}


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0),
        (rate_headers(remaining_tokens="1000", reset_tokens="6s"), 0),
        (rate_headers(remaining_tokens="999", reset_tokens="6s"), 6),
        (rate_headers(remaining_tokens="500", limit_tokens="10500", reset_tokens="20s"), 1),
        (rate_headers(remaining_requests="0", limit_requests="60", reset_requests="1m0s"), 1),
        (rate_headers(remaining_requests="0", reset_requests="12ms", remaining_tokens="0", reset_tokens="4s"), 4),
        (rate_headers(remaining_requests="0", reset_requests="6h0m0s"), LONGEST),
        (rate_headers(remaining_requests="0", reset_requests="when it may"), 0),
        (rate_headers(remaining_requests="none", reset_requests="1s"), 0),
        (rate_headers(remaining_tokens="0", limit_tokens="10", reset_tokens="3s"), 3),
    ],
    ids=str,
)
def test_what_is_needed_is_there_before_all_of_it_is(headers: dict[str, str], seconds: float) -> None:
    assert seconds_until_capacity(headers, Amount(1, 1000)) == pytest.approx(seconds)


def test_retry_after_is_seconds_or_a_date() -> None:
    assert retry_after({"retry-after": "Thu, 01 Jan 1970 00:01:00 GMT"}, now=20) == 40
    assert retry_after({"retry-after": "Thu, 01 Jan 1970 00:01:00 GMT"}, now=90) == 0
    assert retry_after({"retry-after": "7", "retry-after-ms": "1500"}, now=0) == 1.5
    assert retry_after({"retry-after": "soon"}, now=0) is None
