"""Wiring: what is configured is what is used, and what is missing is named. Nothing connects (I9)."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.errors import Misconfigured
from penstock.settings import Settings
from penstock.wiring import services

NEEDED = {
    "bucket": "b",
    "table": "t",
    "queues": {"delete": "http://127.0.0.1:9/q"},
    "dead_letters": {"delete": "http://127.0.0.1:9/d"},
}


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("AWS_REGION", "us-east-1")


def test_what_is_missing_is_named() -> None:
    with pytest.raises(Misconfigured, match="PENSTOCK_TABLE, PENSTOCK_QUEUES"):
        services(Settings(bucket="b"))


def test_without_a_key_the_embedder_is_local_and_with_one_it_is_openai(monkeypatch: pytest.MonkeyPatch) -> None:
    assert services(Settings(**NEEDED)).embedder.space.model.startswith("wordllama")
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    space = services(Settings(**NEEDED, openai_model="m", openai_dimensions=64)).embedder.space
    assert (space.model, space.dimensions) == ("m", 64)
    assert services(Settings(**NEEDED, embedder="wordllama")).embedder.space.model.startswith("wordllama")


@pytest.mark.parametrize("setting", ["index", "embedder"])
def test_an_adapter_that_there_is_not_is_refused_with_those_that_there_are(setting: str) -> None:
    with pytest.raises(Misconfigured, match=r"sqlite|wordllama"):
        services(Settings(**NEEDED, **{setting: "nonsense"}))


def test_numbers_of_the_settings_reach_the_verbs(tmp_path: Path) -> None:
    limits = services(Settings(**NEEDED, chunk_chars=500, shard_chunks=3, lease_seconds=7, attempts=2)).limits
    assert (limits.chunk, limits.shard, limits.lease.total_seconds(), limits.attempts) == (500, 3, 7, 2)
