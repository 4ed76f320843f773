"""The promises of every table of pings."""

from __future__ import annotations

import time

import pytest

from penstock.adapters.aws.pings import DynamoPingTable
from penstock.domain.ids import TenantId
from penstock.ports import PingTable
from tests.contract.conftest import Stack


def test_a_ping_is_answered_once_it_was(pings: PingTable, tenant: TenantId) -> None:
    assert not pings.answered(tenant, "ping")
    pings.answer(tenant, "ping")
    assert pings.answered(tenant, "ping")
    assert not pings.answered(tenant, "another")


def test_a_ping_may_be_answered_twice(pings: PingTable, tenant: TenantId) -> None:
    """SQS delivers at least once."""
    pings.answer(tenant, "ping")
    pings.answer(tenant, "ping")
    assert pings.answered(tenant, "ping")


@pytest.mark.invariant("I10")
def test_no_tenant_sees_the_answer_to_another(pings: PingTable, tenant: TenantId, stranger: TenantId) -> None:
    """I10."""
    pings.answer(tenant, "ping")
    assert not pings.answered(stranger, "ping")


@pytest.mark.parametrize("stack", ["moto", "ministack"], indirect=True)
def test_an_answer_goes_after_some_minutes(stack: Stack, tenant: TenantId) -> None:
    DynamoPingTable(stack.clients.dynamodb, stack.provisioned.table).answer(tenant, "ping")
    key = {"pk": {"S": tenant}, "sk": {"S": "ping/ping"}}
    item = stack.clients.dynamodb.get_item(TableName=stack.provisioned.table, Key=key)["Item"]
    assert 0 < int(item["ttl"]["N"]) - time.time() <= 3600
