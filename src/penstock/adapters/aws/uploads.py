"""The awaited uploads on DynamoDB, in the same table as the records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.adapters.aws.failures import translated
from penstock.adapters.aws.form import MOMENT, TEXT, WHOLE, Attribute, Form, mapped, word
from penstock.domain.errors import UnknownItem
from penstock.domain.ids import TenantId
from penstock.domain.task import Lane
from penstock.domain.upload import AwaitedUpload, UploadId

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

UPLOAD = Form(
    AwaitedUpload,
    o=("document", TEXT),
    n=("name", TEXT),
    z=("size", WHOLE),
    c=("content_type", TEXT),
    f=("source", TEXT),
    a=("announced", MOMENT),
    x=("post_until", MOMENT),
    e=("expires_at", MOMENT),
    la=("lane", word(Lane)),
    m=("metadata", mapped(TEXT)),
    h=("sha256", TEXT),
    g=("generation", WHOLE),
    q=("sequencer", TEXT),
)
_NOT_FIELDS = frozenset({"pk", "sk", "ttl"})


class DynamoUploadTable:
    """An UploadTable on DynamoDB, with one item for each awaited upload."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def store(self, upload: AwaitedUpload) -> None:
        ttl = {"ttl": {"N": str(int(upload.expires_at.timestamp()))}}
        item = _item_key(upload.tenant, upload.id) | UPLOAD.pack(upload) | ttl
        with translated("DynamoDB"):
            self._client.put_item(TableName=self._table, Item=item)

    def find(self, tenant: TenantId, upload: UploadId) -> AwaitedUpload | None:
        with translated("DynamoDB"):
            answer = self._client.get_item(TableName=self._table, Key=_item_key(tenant, upload), ConsistentRead=True)
        return _upload_in(answer["Item"]) if "Item" in answer else None


def _item_key(tenant: TenantId, upload: UploadId) -> dict[str, Attribute]:
    return {"pk": {"S": tenant}, "sk": {"S": f"upload/{upload}"}}


def _upload_in(item: Any) -> AwaitedUpload:
    tenant, id_ = item["pk"]["S"], item["sk"]["S"].removeprefix("upload/")
    own = {name: value for name, value in item.items() if name not in _NOT_FIELDS}
    try:
        return UPLOAD.unpack(own, tenant=TenantId(tenant), id=UploadId(id_))
    except ValueError as error:
        raise UnknownItem(key=f"{tenant} upload/{id_}", why=error) from error
