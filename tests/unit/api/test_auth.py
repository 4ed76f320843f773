"""API keys: the tenant that a request acts for, and how long a revoked key is accepted."""

from __future__ import annotations

from datetime import timedelta

import pytest

from penstock.api.auth import KEY_CACHE_TTL
from penstock.documents.api_keys import create_key
from penstock.domain.ids import TenantId
from tests.support.api_door import is_problem
from tests.support.world import TENANT

PROTECTED = [
    ("POST", "/v1/documents"),
    ("POST", "/v1/uploads"),
    ("GET", "/v1/documents"),
    ("GET", "/v1/documents/x"),
    ("GET", "/v1/documents/x/file"),
    ("DELETE", "/v1/documents/x"),
    ("POST", "/v1/documents/x/retry"),
    ("POST", "/v1/documents/x/cancel"),
    ("GET", "/v1/tasks/ingest-1-x"),
    ("GET", "/v1/search?q=x"),
    ("POST", "/v1/health/task"),
]


@pytest.mark.parametrize(("method", "path"), PROTECTED)
@pytest.mark.parametrize(
    "header",
    [None, "Bearer nonsense", "Bearer psk.acme.0123.secret", "Basic dTpw", "Bearer ", "Bearer " + "x" * 10_000],
    ids=["none", "nonsense", "unknown", "basic", "empty", "huge"],
)
def test_every_call_but_the_health_ones_needs_a_key_of_ours(door, method, path, header):
    client = door.client()
    client.headers.pop("Authorization")
    response = client.request(method, path, headers={"Authorization": header} if header else {})
    is_problem(response, 401, "unauthorized")
    assert response.headers["www-authenticate"].startswith("Bearer")


def test_the_table_above_names_every_route_that_asks_for_a_key(door):
    document = door.app.openapi()["paths"]
    asking = {
        (method.upper(), path)
        for path, calls in document.items()
        for method, call in calls.items()
        if "security" in call
    }
    named = {
        (method, path.split("?")[0].replace("/documents/x", "/documents/{document}").replace("ingest-1-x", "{task}"))
        for method, path in PROTECTED
    }
    assert asking == named


def test_a_key_is_shown_once_and_only_its_hash_is_stored(door):
    key = create_key(door.services, TENANT, "laptop")
    secret = key.split(".")[-1]
    stored = door.services.keys.of(TENANT)
    assert len(stored) == 2
    assert not any(secret in repr(each) for each in stored)


def test_a_revoked_key_is_let_in_for_ten_seconds_at_most(door):
    client = door.client()
    assert client.get("/v1/documents").status_code == 200
    assert timedelta(seconds=10) >= KEY_CACHE_TTL
    door.services.keys.revoke(TENANT, door.key.split(".")[2])
    door.world.clock.pass_time(KEY_CACHE_TTL)
    is_problem(client.get("/v1/documents"), 401, "unauthorized")


def test_a_key_with_the_right_id_and_another_secret_is_refused_while_the_right_one_is_remembered(door):
    assert door.client().get("/v1/documents").status_code == 200
    forged = ".".join([*door.key.split(".")[:3], "another"])
    is_problem(door.client(forged).get("/v1/documents"), 401, "unauthorized")


@pytest.mark.invariant("I10")
def test_a_key_does_not_open_another_tenant_by_its_name(door):
    """I10: the tenant stands in the key, and its hash is looked up under that tenant alone."""
    create_key(door.services, TenantId("other"), "theirs")
    moved = door.key.replace("psk.acme.", "psk.other.")
    is_problem(door.client(moved).get("/v1/documents"), 401, "unauthorized")
