"""The table of provider budgets on DynamoDB, in the same table as the records."""

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
# No attribute has a name that a key of the table's indexes has: DynamoDB refuses an item where such a name is of
# another type.
PROVIDER_BUDGET = Form(
    ProviderBudget,
    m=("minute", WHOLE),
    s=("spent", AMOUNT.kind),
    b=("spent_last_minute", AMOUNT.kind),
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
    """A ProviderBudgetTable with one item for each model. No tenant's key begins with '~', so the items of tenants are
    never in its way.

    botocore sends a write again when its answer was lost. The second write then fails its condition, as if another
    process had written, and a block is leased twice. That spends less than is allowed, never more.
    """

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def read(self, model: str) -> ProviderBudget | None:
        with translated("DynamoDB"):
            answer = self._client.get_item(TableName=self._table, Key=_item_key(model), ConsistentRead=True)
        if "Item" not in answer:
            return None
        item: Any = answer["Item"]
        try:
            return PROVIDER_BUDGET.unpack({name: value for name, value in item.items() if name not in {"pk", "sk"}})
        except ValueError as error:
            raise UnknownItem(key=f"~provider/{model}", why=error) from error

    def write(self, model: str, before: ProviderBudget | None, after: ProviderBudget) -> ProviderBudget:
        stored = replace(after, revision=before.revision + 1 if before else 1)
        item = _item_key(model) | PROVIDER_BUDGET.pack(stored)
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


def _item_key(model: str) -> dict[str, Attribute]:
    return {"pk": {"S": f"~provider/{model}"}, "sk": {"S": "pace"}}
