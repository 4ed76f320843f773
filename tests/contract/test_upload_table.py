"""The promises of every table of awaited uploads."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import timedelta

import pytest

from penstock.adapters.aws.clients import aws_clients
from penstock.adapters.aws.uploads import UPLOAD, DynamoUploadTable
from penstock.domain.errors import Transient, UnknownItem
from penstock.domain.ids import DocumentId, TenantId
from penstock.domain.task import Lane
from penstock.domain.upload import AwaitedUpload, UploadId
from penstock.ports import UploadTable
from tests.contract.conftest import Stack
from tests.contract.records import NOW


def _upload(tenant: TenantId) -> AwaitedUpload:
    later = NOW + timedelta(hours=1)
    return AwaitedUpload(
        tenant, UploadId("0a1b"), DocumentId("handbook"), "Büro.pdf", 9, "application/pdf", "api", NOW, later, later
    )


def test_an_upload_is_found_as_it_was_stored_last(uploads: UploadTable, tenant: TenantId) -> None:
    upload = _upload(tenant)
    uploads.store(upload)
    assert uploads.find(tenant, upload.id) == upload
    whole = replace(
        upload, lane=Lane.BULK, metadata={"team": "a=b"}, sha256="9f" * 32, generation=1772357400000, sequencer="0055"
    )
    uploads.store(whole)
    assert uploads.find(tenant, upload.id) == whole


def test_one_that_was_never_announced_is_not_found(uploads: UploadTable, tenant: TenantId) -> None:
    assert uploads.find(tenant, UploadId("none")) is None


@pytest.mark.invariant("I10")
def test_no_tenant_finds_the_upload_of_another(uploads: UploadTable, tenant: TenantId, stranger: TenantId) -> None:
    """I10."""
    uploads.store(_upload(tenant))
    assert uploads.find(stranger, UploadId("0a1b")) is None


def test_every_field_has_a_place_in_the_item() -> None:
    assert UPLOAD.fields == {field.name for field in fields(AwaitedUpload)} - {"tenant", "id"}


@pytest.mark.parametrize("stack", ["moto", "ministack"], indirect=True)
def test_dynamodb_learns_when_it_ends_and_an_item_of_another_version_is_refused(stack: Stack, tenant: TenantId) -> None:
    client, table = stack.clients.dynamodb, stack.provisioned.table
    DynamoUploadTable(client, table).store(_upload(tenant))
    key = {"pk": {"S": tenant}, "sk": {"S": "upload/0a1b"}}
    item = client.get_item(TableName=table, Key=key)["Item"]
    assert int(item["ttl"]["N"]) == _upload(tenant).expires_at.timestamp()
    client.put_item(TableName=table, Item={**item, "new": {"S": "of a later version"}})
    with pytest.raises(UnknownItem):
        DynamoUploadTable(client, table).find(tenant, UploadId("0a1b"))


@pytest.mark.invariant("I9")
@pytest.mark.usefixtures("credentials")
def test_an_address_that_does_not_answer_is_a_transient_failure(tenant: TenantId) -> None:
    """I9: no exception of the SDK leaves the adapter."""
    with pytest.raises(Transient):
        DynamoUploadTable(aws_clients("http://127.0.0.1:9").dynamodb, "table").find(tenant, UploadId("x"))
