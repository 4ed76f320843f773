"""Wiring: what is configured is what is used, and what is missing is named. Nothing connects (I9)."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.adapters.aws.budget import DynamoProviderBudgetTable
from penstock.adapters.embedders.openai import REQUEST_TOKENS, OpenAIEmbedder
from penstock.adapters.opensearch.index import OpenSearchIndex
from penstock.adapters.opensearch.login import Login
from penstock.domain.errors import BadSetting, Misconfigured
from penstock.domain.provider_budget import UNLIMITED, Amount
from penstock.rate_limit.limiter import RateLimiter
from penstock.rate_limit.local_budget import LocalBudgetTable
from penstock.settings import Settings
from penstock.wiring import index_login, services

pytestmark = pytest.mark.invariant("I9")

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


@pytest.mark.invariant("I9")
def test_a_stored_key_makes_the_embedder_openai_and_is_not_read_before_it_is_needed() -> None:
    """I9: there is no store here that could answer."""
    embedder = services(Settings(**NEEDED, provider_key="/penstock/key", openai_model="m")).embedder
    assert embedder.space.model == "m"


def rate_limiter(**settings: object) -> RateLimiter:
    embedder = services(Settings(**NEEDED, embedder="openai", **settings)).embedder
    assert isinstance(embedder, OpenAIEmbedder)
    return embedder.texts


def test_without_a_budget_the_provider_s_budget_is_kept_in_the_process() -> None:
    """And nothing is written."""
    alone = rate_limiter()
    assert (type(alone.table), alone.limit) == (LocalBudgetTable, UNLIMITED)


@pytest.mark.parametrize(
    ("settings", "limit"),
    [
        ({"provider_requests_per_minute": 500, "provider_tokens_per_minute": 1_000_000}, Amount(500, 1_000_000)),
        ({"provider_requests_per_minute": 500}, Amount(500, 500 * REQUEST_TOKENS)),
        ({"provider_tokens_per_minute": 1_000_000}, Amount(1_000_000, 1_000_000)),
    ],
    ids=["both", "requests", "tokens"],
)
def test_a_budget_is_shared_through_the_table(settings: dict[str, int], limit: Amount) -> None:
    shared = rate_limiter(**settings)
    assert (type(shared.table), shared.limit) == (DynamoProviderBudgetTable, limit)


def test_an_empty_budget_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """The parameters of a stack are empty if they are not set."""
    monkeypatch.setenv("PENSTOCK_PROVIDER_REQUESTS_PER_MINUTE", "")
    monkeypatch.setenv("PENSTOCK_PROVIDER_TOKENS_PER_MINUTE", "")
    read = Settings.from_environment()
    assert (read.provider_requests_per_minute, read.provider_tokens_per_minute) == (None, None)


DOMAIN = "https://search-x.eu-central-1.es.amazonaws.com"
NAMED = {"index_user": "me", "index_password": "secret"}


@pytest.mark.parametrize(
    ("settings", "login"),
    [
        ({"index_url": DOMAIN}, Login(signed=True)),
        ({"index_url": DOMAIN, **NAMED}, Login(signed=True)),
        ({"index_url": DOMAIN, "index_auth": "basic", **NAMED}, Login("me", "secret")),
        ({"index_url": DOMAIN, "index_auth": "none", **NAMED}, Login()),
        ({"index_url": "http://127.0.0.1:9200"}, Login()),
        ({"index_url": "https://search.example.com", **NAMED}, Login("me", "secret")),
        ({"index_url": "https://search.example.com", "index_auth": "aws"}, Login(signed=True)),
    ],
)
def test_a_managed_domain_is_asked_by_signed_requests_and_others_as_they_want_it(
    settings: dict[str, str], login: Login
) -> None:
    """Nothing connects, and no credentials are looked for."""
    read = Settings(**NEEDED, index="opensearch", **settings)
    assert index_login(read) == login
    assert isinstance(services(read).index, OpenSearchIndex)


def test_an_index_without_an_address_says_which_setting_it_needs() -> None:
    with pytest.raises(Misconfigured, match="PENSTOCK_INDEX_URL"):
        services(Settings(**NEEDED, index="opensearch"))


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("PENSTOCK_SHARD_CHUNKS", "0", "Expected `int` >= 1"),
        ("PENSTOCK_API_PORT", "many", "Expected `int`"),
        ("PENSTOCK_LOG_JSON", "perhaps", "Expected `bool`"),
        ("PENSTOCK_QUEUES", "http://127.0.0.1/q", "JSON is malformed"),
        ("PENSTOCK_QUEUES", '{"delete": 1}', "Expected `str`, got `int`"),
        ("PENSTOCK_MAX_DIRECT_BYTES", "0", "Expected `int` >= 1"),
        ("PENSTOCK_EXTRACT_MEMORY_BYTES", "1000", "Expected `int` >= 268435456"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_with_what_was_expected(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
) -> None:
    monkeypatch.setenv(variable, value)
    monkeypatch.setenv("PENSTOCK_ATTEMPTS", "-1")
    with pytest.raises(BadSetting) as refused:
        Settings.from_environment()
    assert f"{variable} is {value!r}: {said}" in str(refused.value)
    assert "PENSTOCK_ATTEMPTS is '-1'" in str(refused.value), "all are named at once"


def test_settings_are_read_from_the_environment_as_what_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {
        "PENSTOCK_INDEX_PATH": "/there",
        "PENSTOCK_QUEUES": '{"delete": "http://q"}',
        "PENSTOCK_ACCEPTED_TYPES": '["text/plain"]',
        "PENSTOCK_MAX_DIRECT_BYTES": "4500000",
        "PENSTOCK_EXTRACT_SECONDS": "0.5",
        "PENSTOCK_LOG_JSON": "true",
        "PENSTOCK_LEASE_SECONDS": "930",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    read = Settings.from_environment(lease_seconds=7)
    assert (read.index_path, read.queues, read.accepted_types) == (
        Path("/there"),
        {"delete": "http://q"},
        frozenset({"text/plain"}),
    )
    assert (read.max_direct_bytes, read.extract.seconds, read.log_json) == (4_500_000, 0.5, True)
    assert read.lease_seconds == 7, "what is given stands before the environment"


def test_a_setting_that_there_is_not_is_no_setting() -> None:
    with pytest.raises(TypeError, match="leese_seconds"):
        Settings.from_environment(leese_seconds=7)


@pytest.mark.parametrize("setting", ["index", "embedder", "recognizer"])
def test_an_adapter_that_there_is_not_is_refused_with_those_that_there_are(setting: str) -> None:
    with pytest.raises(Misconfigured, match=r"sqlite|wordllama|tesseract"):
        services(Settings(**NEEDED, **{setting: "nonsense"}))


def test_an_embedder_of_a_folder_is_chosen_by_its_name_and_its_folder(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="has no model"):
        services(Settings(**NEEDED, embedder=f"onnx:{tmp_path}"))
    for without_a_folder in ("onnx", "onnx:", f"wordllama:{tmp_path}"):
        with pytest.raises(Misconfigured, match="onnx:DIR"):
            services(Settings(**NEEDED, embedder=without_a_folder))


def test_numbers_of_the_settings_reach_the_verbs(tmp_path: Path) -> None:
    limits = services(Settings(**NEEDED, chunk_chars=500, shard_chunks=3, lease_seconds=7, attempts=2)).limits
    assert (limits.chunk_chars, limits.shard_chunks, limits.lease.total_seconds(), limits.attempts) == (500, 3, 7, 2)
