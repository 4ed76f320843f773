"""Object events: S3 reports an object of the drop folder, or an upload that was awaited; both are received here."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from penstock.documents.arrival import NOTHING_TO_DO, Arrival, decide
from penstock.documents.receive import NOT_STORED, Received, receive_document, retry_after_removal
from penstock.documents.remove import receive_removal, removed_original
from penstock.domain.document import Original, earlier
from penstock.domain.errors import BadRequest, BeingDeleted, OriginalMissing
from penstock.domain.ids import TenantId, derived_id, tenant_id
from penstock.domain.status import Status
from penstock.domain.upload import AwaitedUpload, UploadId
from penstock.ports import Stored
from penstock.services import Services

log = logging.getLogger(__name__)

_UNNAMED_SOURCE = "drop"


@dataclass(frozen=True, slots=True)
class ObjectEvent:
    """S3's report that an object under `drop/` or `uploads/` was created, or was removed (by a delete marker)."""

    key: str
    version: str
    size: int
    etag: str
    sequencer: str | None
    """S3's order of events for this key. It is None if the object was found in the bucket without any event."""
    removed: bool


def receive_object(services: Services, event: ObjectEvent) -> Received | None:
    """Receive an object of the drop folder, `drop/{tenant}/{source}/…`, or an awaited upload,
    `uploads/{tenant}/{upload}/…`. In the drop folder, the same key is always the same document; an object directly in
    the tenant's folder has the source "drop".

    Returns:
        None if there was nothing to do: a duplicate, an event out of order, or a file that nobody announced.

    Raises:
        Transient: the event has to come again, for example because the document is being deleted.
        BadRequest: the key has neither form.
    """
    if event.key.startswith("uploads/"):
        return _receive_awaited(services, event)
    folder, _, place = event.key.partition("/")
    tenant_name, _, path = place.partition("/")
    if folder != "drop" or not path:
        raise BadRequest(why=f"{event.key!r} is no drop-folder key: use drop/TENANT/SOURCE/NAME.")
    source, _, rest = path.partition("/")
    tenant, name = tenant_id(tenant_name), path.rsplit("/", 1)[-1]
    source = source if source and rest else _UNNAMED_SOURCE
    document = derived_id(tenant, event.key)
    if event.removed:
        receive_removal(services, tenant, document, removed_original(event.key, event.sequencer))
        return None
    if event.key.endswith("/"):
        return None  # an empty object that a console creates to show an empty folder
    original = Original(event.key, event.version, name, event.size, event.etag.strip('"'), sequencer=event.sequencer)
    try:
        known = services.documents.read(tenant, document)
        received = receive_document(services, Arrival(tenant, document, original, source), known)
    except BeingDeleted as error:
        raise retry_after_removal(services, error) from error
    return None if received.already_here else received


def _receive_awaited(services: Services, event: ObjectEvent) -> Received | None:
    """Receive a file that was announced. It moves from `uploads/` to where a file that came by HTTPS is stored, so that
    `uploads/` can be emptied at any time, and every generation of a document that did not come by the drop folder is a
    version of one key.

    If this is interrupted and repeated, the result is the same: the upload's generation is stored before its file is
    removed from `uploads/`.
    """
    tenant, upload = _awaited(services, event)
    if event.removed:
        return None
    if upload is None or _is_processed(upload, event):
        if upload is None:
            log.warning("removed %s: no such upload is awaited", event.key)
        services.objects.remove(tenant, event.key, event.version)
        return None
    received = _receive_upload_of(services, upload, event)
    if received is None:
        return None
    services.uploads.store(replace(upload, generation=received.document.generation, sequencer=event.sequencer))
    services.objects.remove(tenant, event.key, event.version)
    return None if received.already_here else received


def _is_processed(upload: AwaitedUpload, event: ObjectEvent) -> bool:
    """Whether this event, or a later one of the same upload, was processed before."""
    if upload.sequencer is None or event.sequencer is None:
        return upload.generation is not None
    return not earlier(upload.sequencer, event.sequencer)


def _awaited(services: Services, event: ObjectEvent) -> tuple[TenantId, AwaitedUpload | None]:
    """The tenant of this key, and the upload, if it is awaited and has not expired.

    Raises:
        BadRequest: the key was not given out for an upload.
    """
    parts = event.key.split("/")
    if len(parts) != 4:  # noqa: PLR2004 - uploads/tenant/upload/file
        raise BadRequest(why=f"{event.key!r} is no key of an upload: ask POST /v1/uploads for one.")
    tenant = tenant_id(parts[1])
    upload = services.uploads.find(tenant, UploadId(parts[2]))
    return tenant, None if upload is None or upload.expires_at <= services.clock() else upload


def _receive_upload_of(services: Services, upload: AwaitedUpload, event: ObjectEvent) -> Received | None:
    """Receive the file of this upload; None if it was removed meanwhile."""
    tenant, etag, key = upload.tenant, event.etag.strip('"'), f"files/{upload.tenant}/{upload.document}"
    record = services.documents.read(tenant, upload.document)
    if record is not None and record.status is Status.DELETING:
        raise retry_after_removal(services, BeingDeleted(document=record.id))
    original = Original(key, NOT_STORED, upload.name, event.size, etag, upload.sha256, upload.content_type)
    arrival = Arrival(tenant, upload.document, original, upload.source, upload.lane, upload.metadata)
    if record is not None and decide(record, arrival) in NOTHING_TO_DO:
        return Received(record, already_here=True)
    try:
        stored = services.objects.copy(tenant, Stored(event.key, event.version, event.size, etag), key)
    except OriginalMissing:
        log.warning("ignored %s: it was removed before it was received", event.key)
        return None
    arrival = replace(arrival, original=replace(original, version=stored.version, etag=stored.etag))
    try:
        return receive_document(services, arrival, record)
    except BeingDeleted as error:
        services.objects.remove(tenant, key, stored.version)
        raise retry_after_removal(services, error) from error
