"""The pace of the embedding provider on DynamoDB, in the same table as the records."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from penstock.adapters.aws.failures import translated
from penstock.adapters.aws.form import FLAG, MOMENT, REAL, WHOLE, Attribute, Form
from penstock.domain.errors import Conflict, UnknownItem
from penstock.domain.provider_budget import Amount, ProviderBudget

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

AMOUNT = Form(Amount, r=("requests", REAL), t=("tokens", REAL))
# None of the names that the table's indexes are made of: DynamoDB refuses an item that has them as anything else.
PACE = Form(
    ProviderBudget,
    m=("minute", WHOLE),
    s=("spent", AMOUNT.kind),
    b=("before", AMOUNT.kind),
    k=("known", AMOUNT.kind),
    v=("level", WHOLE),
    sl=("slowed", WHOLE),
    u=("until_slowed", AMOUNT.kind),
    f=("failures", WHOLE),
    c=("closed", MOMENT),
    p=("probing", FLAG),
    r=("revision", WHOLE),
)


class DynamoProviderBudgetTable:
    """One item for each model. No tenant's key begins with '~'.

    A write whose answer was lost is sent again by botocore, and takes itself for another's: a block is then leased
    twice, which spends less than is allowed, never more.
    """

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def read(self, model: str) -> ProviderBudget | None:
        with translated("DynamoDB"):
            answer = self._client.get_item(TableName=self._table, Key=_place(model), ConsistentRead=True)
        if "Item" not in answer:
            return None
        item: Any = answer["Item"]
        try:
            return PACE.unpack({name: value for name, value in item.items() if name not in {"pk", "sk"}})
        except ValueError as error:
            raise UnknownItem(key=f"~provider/{model}", why=error) from error

    def write(self, model: str, before: ProviderBudget | None, after: ProviderBudget) -> ProviderBudget:
        stored = replace(after, revision=before.revision + 1 if before else 1)
        item = _place(model) | PACE.pack(stored)
        with translated("DynamoDB"):
            try:
                if before is None:
                    self._client.put_item(
                        TableName=self._table, Item=item, ConditionExpression="attribute_not_exists(pk)"
                    )
                else:
                    self._client.put_item(
                        TableName=self._table,
                        Item=item,
                        ConditionExpression="r = :revision",
                        ExpressionAttributeValues={":revision": WHOLE.pack(before.revision)},
                    )
            except self._client.exceptions.ConditionalCheckFailedException as error:
                raise Conflict from error
        return stored


def _place(model: str) -> dict[str, Attribute]:
    return {"pk": {"S": f"~provider/{model}"}, "sk": {"S": "pace"}}
