"""Receive: both doors meet here. The record first, then the message (I6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

from penstock.document import Document, DocumentId, TenantId
from penstock.ports import Services
from penstock.task import Lane, TaskId


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that came by HTTPS, spooled and hashed."""

    content: BinaryIO
    """At its beginning."""
    name: str
    size: int
    sha256: str
    content_type: str | None


@dataclass(frozen=True, slots=True)
class Received:
    document: Document
    task: TaskId
    already_here: bool
    """The same bytes are the newest generation already: there is nothing to do."""


def receive_upload(
    services: Services,
    tenant: TenantId,
    upload: Upload,
    *,
    document: DocumentId | None,
    source: str,
    lane: Lane,
    metadata: Mapping[str, str],
) -> Received:
    """
    Raises:
        BeingDeleted: the document is; send it again afterwards.
        EmptyFile: the file has no bytes.
        Transient: a service did not answer; nothing was accepted.
    """
    raise NotImplementedError


@dataclass(frozen=True, slots=True)
class ObjectEvent:
    """What S3 says of an object under `drop/`: created, or removed (by a delete marker)."""

    key: str
    version: str
    size: int
    etag: str
    sequencer: str
    removed: bool


def receive_object(services: Services, event: ObjectEvent) -> Received | None:
    """None where there was nothing to do: a duplicate, or one out of order.

    Raises:
        Transient: it shall come again; among others, while the document is being deleted.
        Permanent: the key is none of the drop folder's.
    """
    raise NotImplementedError
