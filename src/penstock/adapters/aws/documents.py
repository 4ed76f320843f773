"""The document table on DynamoDB."""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from penstock.adapters.aws.failures import code_of, translated
from penstock.adapters.aws.form import MOMENT, TEXT, WHOLE, Attribute
from penstock.adapters.aws.items import (
    DUE_PARTITIONS,
    PUT,
    build_in,
    document_in,
    key_of,
    key_of_item,
    packed,
    position,
    position_in,
)
from penstock.domain.build import Build
from penstock.domain.document import Document
from penstock.domain.errors import Conflict, ForeignKey, Transient
from penstock.domain.ids import BuildId, DocumentId, TenantId
from penstock.ports import Change, Item

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_BATCH = 100  # the maximum number of keys in one BatchGetItem
_TRIES = 8
_CONFLICTS = frozenset(
    {"ConditionalCheckFailed", "ConditionalCheckFailedException", "TransactionConflict", "TransactionConflictException"}
)
_THROTTLED = frozenset({"ThrottlingError", "ProvisionedThroughputExceeded", "RequestLimitExceeded"})


class DynamoDocumentTable:
    """A DocumentTable on DynamoDB. `form` and `items` say how records and builds are stored."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def read(self, tenant: TenantId, document: DocumentId) -> Document | None:
        item = self._get(key_of(tenant, document))
        return None if item is None else document_in(item)

    def read_build(self, tenant: TenantId, document: DocumentId, build_id: BuildId) -> Build | None:
        item = self._get(key_of(tenant, document, build_id))
        return None if item is None else build_in(item)

    def read_both(
        self, tenant: TenantId, document: DocumentId, build_id: BuildId
    ) -> tuple[Document | None, Build | None]:
        keys = [key_of(tenant, document), key_of(tenant, document, build_id)]
        items = {item["sk"]["S"]: item for item in self._read_batch(keys)}
        record, build = (items.get(key["sk"]["S"]) for key in keys)
        return None if record is None else document_in(record), None if build is None else build_in(build)

    def _get(self, key: dict[str, Attribute]) -> Mapping[str, Any] | None:
        with translated("DynamoDB"):
            return self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True).get("Item")

    def read_many(self, tenant: TenantId, documents: Sequence[DocumentId]) -> Mapping[DocumentId, Document]:
        distinct = list(dict.fromkeys(documents))  # the same key twice in one batch is an error
        found: dict[DocumentId, Document] = {}
        for start in range(0, len(distinct), _BATCH):
            keys = [key_of(tenant, document) for document in distinct[start : start + _BATCH]]
            found |= {document.id: document for document in map(document_in, self._read_batch(keys))}
        return found

    def _read_batch(self, keys: Sequence[dict[str, Attribute]]) -> list[Mapping[str, Any]]:
        request: Any = {self._table: {"Keys": keys, "ConsistentRead": True}}
        found: list[Mapping[str, Any]] = []
        for attempt in range(_TRIES):
            with translated("DynamoDB"):
                answer = self._client.batch_get_item(RequestItems=request)
            found += answer["Responses"].get(self._table, [])
            request = answer.get("UnprocessedKeys")
            if not request:
                return found
            time.sleep(random.uniform(0, 0.02 * 2**attempt))  # noqa: S311 - spreads load, guards nothing
        raise Transient(why="DynamoDB left keys of a batch unread")

    def write(self, tenant: TenantId, *changes: Change) -> None:
        writes = [self._guarded(tenant, change) for change in changes]
        with translated("DynamoDB"):
            try:
                self._write_all(writes)
            except ClientError as error:
                reasons = {code_of(error)} | {
                    each.get("Code") for each in error.response.get("CancellationReasons", [])
                }
                if reasons & _CONFLICTS:
                    raise Conflict from error
                if reasons & _THROTTLED:
                    raise Transient(why="DynamoDB throttled a transaction") from error
                raise

    def _guarded(self, tenant: TenantId, change: Change) -> dict[str, Any]:
        """The write of one item, on the condition that the stored item still is as it was read."""
        item = change.after or change.before
        if item is None or (change.before and key_of_item(change.before) != key_of_item(item)):
            raise ValueError("a change is of one item")
        if item.tenant != tenant:
            raise ForeignKey(key=key_of_item(item)["pk"]["S"], tenant=tenant)
        write: dict[str, Any] = {"TableName": self._table, **_as_read(change.before)}
        if change.after is None:
            return {"Delete": write | {"Key": key_of_item(item)}}
        revision = 1 if change.before is None else change.before.revision + 1
        return {"Put": write | {"Item": packed(replace(change.after, revision=revision))}}

    def _write_all(self, writes: Sequence[dict[str, Any]]) -> None:
        match writes:
            case []:
                pass
            case [{"Put": put}]:
                self._put(put)
            case [{"Delete": delete}]:
                self._client.delete_item(**delete)
            case _:
                # botocore adds a token, by which DynamoDB recognizes a transaction that is sent again.
                self._client.transact_write_items(TransactItems=writes)  # type: ignore[arg-type]

    def _put(self, put: dict[str, Any]) -> None:
        """Put an item. A put has no such token of botocore's: where its answer is lost, botocore sends it again, and
        the item that then fails the condition comes from this very put. So the item carries a token of its own, to
        recognize it by."""
        token = {"S": secrets.token_urlsafe(6)}
        put["Item"][PUT] = token
        try:
            self._client.put_item(**put, ReturnValuesOnConditionCheckFailure="ALL_OLD")
        except self._client.exceptions.ConditionalCheckFailedException as error:
            if error.response.get("Item", {}).get(PUT) != token:  # type: ignore[attr-defined]
                raise

    def newest(
        self, tenant: TenantId, limit: int, before: tuple[datetime, DocumentId] | None = None
    ) -> Sequence[tuple[datetime, DocumentId]]:
        condition, values = "t = :tenant", {":tenant": TEXT.pack(tenant)}
        if before is not None:
            condition += " AND l < :before"
            values[":before"] = TEXT.pack(position(*before))
        found = self._query("list", condition, values, limit, newest_first=True)
        return [position_in(item["l"]["S"]) for item in found]

    def tenants(self) -> set[TenantId]:
        with translated("DynamoDB"):
            pages = self._client.get_paginator("scan").paginate(
                TableName=self._table, IndexName="list", ProjectionExpression="t"
            )
            return {TenantId(TEXT.unpack(item["t"])) for page in pages for item in page["Items"]}

    def due(self, now: datetime, limit: int) -> Sequence[tuple[TenantId, DocumentId]]:
        partitions = [
            self._query(
                "due", "ds = :partition AND d <= :now", {":partition": TEXT.pack(name), ":now": MOMENT.pack(now)}, limit
            )
            for name in DUE_PARTITIONS
        ]
        found = islice(merge(*partitions, key=lambda item: int(item["d"]["N"])), limit)
        keys = (item["pk"]["S"].partition("/") for item in found)
        return [(TenantId(tenant), DocumentId(document)) for tenant, _, document in keys]

    def _query(
        self, index: str, condition: str, values: dict[str, Attribute], limit: int, *, newest_first: bool = False
    ) -> list[Mapping[str, Any]]:
        """The first items of one partition of an index, in the index's order. It queries as many pages as it needs."""
        found: list[Mapping[str, Any]] = []
        start: dict[str, Any] = {}
        while len(found) < limit:
            with translated("DynamoDB"):
                page = self._client.query(
                    TableName=self._table,
                    IndexName=index,
                    KeyConditionExpression=condition,
                    ExpressionAttributeValues=values,
                    ScanIndexForward=not newest_first,
                    Limit=limit - len(found),
                    **start,
                )
            found += page["Items"]
            if "LastEvaluatedKey" not in page:
                break
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
        return found

    def check(self) -> None:
        with translated("DynamoDB"):
            status = self._client.describe_table(TableName=self._table)["Table"]["TableStatus"]
        if status not in {"ACTIVE", "UPDATING"}:
            raise Transient(why=f"table {self._table} is {status}")


def _as_read(before: Item | None) -> dict[str, Any]:
    """I2: the condition names the generation and the revision that were read."""
    if before is None:
        return {"ConditionExpression": "attribute_not_exists(pk)"}
    if isinstance(before, Build):  # whose generation is in its key
        return {
            "ConditionExpression": "r = :revision",
            "ExpressionAttributeValues": {":revision": WHOLE.pack(before.revision)},
        }
    return {
        "ConditionExpression": "g = :generation AND r = :revision",
        "ExpressionAttributeValues": {
            ":generation": WHOLE.pack(before.generation),
            ":revision": WHOLE.pack(before.revision),
        },
    }
