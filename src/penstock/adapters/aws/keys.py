"""API keys on DynamoDB, in the same table as the records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from penstock.adapters.aws.failures import translated
from penstock.adapters.aws.form import MOMENT, TEXT, Attribute, Form
from penstock.domain.errors import UnknownItem
from penstock.domain.ids import TenantId
from penstock.ports import ApiKey

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

KEY = Form(ApiKey, h=("hash", TEXT), n=("label", TEXT), a=("created", MOMENT))


class DynamoKeyTable:
    """A KeyTable on DynamoDB, with one item for each API key."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def store(self, key: ApiKey) -> None:
        with translated("DynamoDB"):
            self._client.put_item(TableName=self._table, Item=_item_key(key.tenant, key.id) | KEY.pack(key))

    def find(self, tenant: TenantId, key: str) -> ApiKey | None:
        with translated("DynamoDB"):
            answer = self._client.get_item(TableName=self._table, Key=_item_key(tenant, key), ConsistentRead=True)
        return _key_in(answer["Item"]) if "Item" in answer else None

    def of(self, tenant: TenantId) -> Sequence[ApiKey]:
        with translated("DynamoDB"):
            pages = self._client.get_paginator("query").paginate(
                TableName=self._table,
                ConsistentRead=True,
                KeyConditionExpression="pk = :tenant AND begins_with(sk, :keys)",
                ExpressionAttributeValues={":tenant": {"S": tenant}, ":keys": {"S": "key/"}},
            )
            return [_key_in(item) for page in pages for item in page["Items"]]

    def revoke(self, tenant: TenantId, key: str) -> bool:
        with translated("DynamoDB"):
            answer = self._client.delete_item(TableName=self._table, Key=_item_key(tenant, key), ReturnValues="ALL_OLD")
        return "Attributes" in answer


def _item_key(tenant: TenantId, key: str) -> dict[str, Attribute]:
    return {"pk": {"S": tenant}, "sk": {"S": f"key/{key}"}}


def _key_in(item: Any) -> ApiKey:
    tenant, id_ = item["pk"]["S"], item["sk"]["S"].removeprefix("key/")
    own = {name: value for name, value in item.items() if name not in {"pk", "sk"}}
    try:
        return KEY.unpack(own, tenant=TenantId(tenant), id=id_)
    except ValueError as error:
        raise UnknownItem(key=f"{tenant} key/{id_}", why=error) from error
