"""The promises of every table of API keys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

import pytest

from penstock.adapters.aws.clients import aws_clients
from penstock.adapters.aws.keys import KEY, DynamoKeyTable
from penstock.adapters.aws.pings import DynamoPingTable
from penstock.domain.errors import Transient
from penstock.domain.ids import TenantId
from penstock.ports import ApiKey, KeyTable
from tests.contract.records import NOW


def _key(tenant: TenantId, id_: str = "0a1b2c3d4e5f", label: str = "laptop") -> ApiKey:
    return ApiKey(tenant, id_, "9f" * 32, label, NOW)


@pytest.mark.parametrize("label", ["laptop", "", "Büro 3"])
def test_a_key_is_found_as_it_was_stored(keys: KeyTable, tenant: TenantId, label: str) -> None:
    keys.store(_key(tenant, label=label))
    assert keys.find(tenant, "0a1b2c3d4e5f") == _key(tenant, label=label)


def test_a_key_that_was_never_stored_is_not_found(keys: KeyTable, tenant: TenantId) -> None:
    assert keys.find(tenant, "none") is None
    assert list(keys.of(tenant)) == []
    assert keys.revoke(tenant, "none") is False


def test_a_revoked_key_is_not_found(keys: KeyTable, tenant: TenantId) -> None:
    keys.store(_key(tenant))
    assert keys.revoke(tenant, "0a1b2c3d4e5f") is True
    assert keys.find(tenant, "0a1b2c3d4e5f") is None
    assert keys.revoke(tenant, "0a1b2c3d4e5f") is False


def test_the_keys_of_a_tenant_are_listed(keys: KeyTable, tenant: TenantId) -> None:
    stored = [_key(tenant, id_) for id_ in ("aa", "bb", "cc")]
    for key in stored:
        keys.store(key)
    assert sorted(keys.of(tenant), key=lambda key: key.id) == stored


@pytest.mark.invariant("I10")
def test_no_call_reaches_a_key_of_another_tenant(keys: KeyTable, tenant: TenantId, stranger: TenantId) -> None:
    """I10."""
    keys.store(_key(tenant))
    assert keys.find(stranger, "0a1b2c3d4e5f") is None
    assert list(keys.of(stranger)) == []
    assert keys.revoke(stranger, "0a1b2c3d4e5f") is False
    assert keys.find(tenant, "0a1b2c3d4e5f") is not None


def test_every_field_has_a_place_in_the_item() -> None:
    assert KEY.fields == {field.name for field in fields(ApiKey)} - {"tenant", "id"}


@pytest.mark.invariant("I9")
@pytest.mark.usefixtures("credentials")
def test_an_address_that_does_not_answer_is_a_transient_failure(tenant: TenantId) -> None:
    """I9: no exception of the SDK leaves the adapter."""
    client = aws_clients("http://127.0.0.1:9").dynamodb
    calls: list[Callable[[], object]] = [
        lambda: DynamoKeyTable(client, "table").find(tenant, "key"),
        lambda: DynamoPingTable(client, "table").answered(tenant, "ping"),
    ]
    for call in calls:
        with pytest.raises(Transient):
            call()
