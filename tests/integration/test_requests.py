"""The number of AWS requests of a document equals the budget: neither more nor fewer."""

from __future__ import annotations

import pytest

from benchmarks import requests
from benchmarks.cost_page import PAGE, with_figures
from benchmarks.requests import Counts, bench, differing, documents, wrongly_estimated


@pytest.fixture(scope="module")
def counted() -> dict[str, Counts]:
    with bench() as ready:
        return documents(ready)


def test_every_count_is_that_of_the_budget(counted: dict[str, Counts]) -> None:
    assert differing(counted) == []


def test_an_estimate_says_what_is_counted(counted: dict[str, Counts]) -> None:
    assert wrongly_estimated(counted) == []


def test_a_request_more_or_less_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    agreed = {"https": {"DynamoDB.GetItem": 2, "S3.PutObject": 1}}
    monkeypatch.setattr(requests, "budget", lambda: agreed)
    assert differing(agreed) == []
    for changed, operation in (
        ({"DynamoDB.GetItem": 3, "S3.PutObject": 1}, "DynamoDB.GetItem 3"),
        ({"DynamoDB.GetItem": 2}, "S3.PutObject 0"),
        ({"DynamoDB.GetItem": 2, "S3.PutObject": 1, "SQS.SendMessage": 1}, "SQS.SendMessage 1"),
    ):
        (line,) = differing({"https": changed})
        assert operation in line
    assert len(differing({"drop": {"S3.GetObject": 1}})) == 1, "a case that nobody agreed"


def test_the_page_about_cost_has_the_figures_of_the_budget_and_of_the_prices() -> None:
    page = PAGE.read_text()
    assert with_figures(page) == page, "make bench-requests UPDATE=1"
