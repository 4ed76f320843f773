"""Answers to pings on DynamoDB, in the same table as the records."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from penstock.adapters.aws.failures import translated
from penstock.adapters.aws.form import Attribute
from penstock.domain.ids import TenantId

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_KEPT = 600
"""How long an answer is kept, in seconds. DynamoDB deletes it some time later."""


class DynamoPingTable:
    """A PingTable on DynamoDB, with one item for each answered ping."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def answer(self, tenant: TenantId, ping: str) -> None:
        ttl = {"ttl": {"N": str(int(time.time()) + _KEPT)}}
        with translated("DynamoDB"):
            self._client.put_item(TableName=self._table, Item=_item_key(tenant, ping) | ttl)

    def answered(self, tenant: TenantId, ping: str) -> bool:
        with translated("DynamoDB"):
            answer = self._client.get_item(TableName=self._table, Key=_item_key(tenant, ping), ConsistentRead=True)
        return "Item" in answer


def _item_key(tenant: TenantId, ping: str) -> dict[str, Attribute]:
    return {"pk": {"S": tenant}, "sk": {"S": f"ping/{ping}"}}
