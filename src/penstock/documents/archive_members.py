"""Members: the files of an archive. Each becomes a document of its own, received by the same function as an upload.

The id of a member begins with a prefix that is derived from the archive's id, and so does the key of its original. One
listing of the bucket therefore finds every member that was ever received, even if the worker died while receiving them:
the object is stored before its record. The originals carry the archive's generation as their sequencer: as with S3's
events, what comes from an older generation of the archive is recognised as out of date (I2)."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby, islice
from tempfile import TemporaryFile

from penstock.documents.file_names import LONGEST_NAME
from penstock.documents.receive import Received, Upload, receive_upload, retry_after_removal
from penstock.documents.remove import receive_removal, remove, removed_original
from penstock.domain.document import Document
from penstock.domain.errors import BeingDeleted, MembersLeft, OutOfTime, TooLarge
from penstock.domain.ids import DocumentId, TenantId, derived_id
from penstock.domain.status import Status
from penstock.ports import Listed, Member
from penstock.reading.text.characters import one_line
from penstock.records.claim import Checkpointed
from penstock.records.compare_and_set import update_record
from penstock.records.document_lease import DocumentLease
from penstock.services import Services

_PREFIX = 16
"""The length of the prefix that the ids of an archive's members share, in characters, without its hyphen."""
_SHORTEST_WAIT, _LONGEST_WAIT = 2, 60
"""Seconds before the delete stage looks again whether all members are gone: for few members, and for very many."""
_BATCH = 100
"""The number of records that are read at once."""
_ELLIPSIS = "..."


def member_id(tenant: TenantId, container: DocumentId, path: Sequence[str]) -> DocumentId:
    """The same file of the same archive is always the same document (I3)."""
    return DocumentId(f"{_id_prefix(tenant, container)}{derived_id(tenant, container, *path)}")


def _id_prefix(tenant: TenantId, container: DocumentId) -> str:
    return f"{derived_id(tenant, container)[:_PREFIX]}-"


def member_name(archive: str, path: Sequence[str]) -> str:
    """The name that is shown and cited. A long one keeps its beginning and its end."""
    name = "/".join(filter(None, map(one_line, (archive, *path)))).encode()
    if len(name) <= LONGEST_NAME:
        return name.decode()
    half = (LONGEST_NAME - len(_ELLIPSIS)) // 2
    return name[:half].decode(errors="ignore") + _ELLIPSIS + name[-half:].decode(errors="ignore")


@dataclass(slots=True)
class MemberReceiver:
    """Receives the members of an archive, for the extract stage that reads it."""

    services: Services
    claim: DocumentLease
    received: set[DocumentId] = field(default_factory=set)
    _new: int = 0
    """The number of members that this run has brought: the others were received by an earlier run."""
    _marked: bool = False
    """Whether this run has written to the record that the archive has members."""

    def receive(self, member: Member) -> None:
        """Receive the member, unless the same bytes are its newest generation already.

        Raises:
            TooLarge: the member is not received.
            Fenced: the claim was lost.
            Checkpointed: the time of this run is over; the next run skips the members that were received.
            OutOfTime: the time of this run is over, and it received no new member; nor would the next run.
            Transient: a service did not answer, or an earlier document of this id is still being removed.
        """
        services, record = self.services, self.claim.document
        if member.size > services.limits.file_bytes:
            raise TooLarge(limit=services.limits.file_bytes)
        self._stop_if_requested()
        self._mark_has_members()
        document = member_id(record.tenant, record.id, member.path)
        with TemporaryFile(prefix="penstock-") as file:
            digest = hashlib.sha256()
            for block in member.content:
                digest.update(block)
                file.write(block)
            file.seek(0)
            name = member_name(record.original.name, member.path)
            upload = Upload(file, name, member.size, digest.hexdigest(), member.media_type, _sequencer(record))
            received = self._receive_upload(upload, document)
        self.received.add(document)
        self._new += not received.already_here

    def remove_others(self) -> None:
        """Remove the members of an earlier generation of this archive that are not in this one.

        Raises:
            Transient: a service did not answer.
        """
        if self._has_members:
            remove_members(self.services, self.claim.document, keep=self.received)

    def _receive_upload(self, upload: Upload, document: DocumentId) -> Received:
        archive = self.claim.document
        try:
            return receive_upload(
                self.services,
                archive.tenant,
                upload,
                document=document,
                source=archive.source,
                lane=archive.lane,
                metadata=archive.metadata,
                container=archive.id,
            )
        except BeingDeleted as error:
            raise retry_after_removal(self.services, error) from error

    @property
    def _has_members(self) -> bool:
        """Whether the archive's record says that it has members."""
        return self._marked or self.claim.document.has_members

    def _stop_if_requested(self) -> None:
        stop_request = self.services.stop_request()
        if stop_request is None:
            return
        if stop_request.limit is not None and not self._new:
            raise OutOfTime(limit=stop_request.limit, kind="zip", way_out=stop_request.way_out)
        self.claim.release(self.services)
        raise Checkpointed

    def _mark_has_members(self) -> None:
        """Write to the archive's record that it has members, before there is one: a removal looks for members only if
        the record says so."""
        if self._has_members:
            return

        def decide(record: Document | None) -> Document:
            return replace(self.claim.held(record), has_members=True)

        update_record(self.services, self.claim.tenant, self.claim.document.id, decide)
        self._marked = True


def remove_with_members(services: Services, claim: DocumentLease) -> None:
    """Do the work of the delete stage for a document that may be an archive. Its members are removed first: the archive
    is reported as deleted only when all its members are.

    Raises:
        MembersLeft: some members are not removed yet.
        LeftBehind, Fenced, Transient: as for `remove`.
    """
    if claim.document.has_members and (left := remove_members(services, claim.document, orphaned_objects=True)):
        raise MembersLeft(count=left, retry_after=min(_SHORTEST_WAIT + left / _BATCH, _LONGEST_WAIT))
    remove(services, claim)


def remove_members(
    services: Services, container: Document, *, keep: Collection[DocumentId] = (), orphaned_objects: bool = False
) -> int:
    """Hide the members of this archive, and request their removal. Members that came with a later generation of the
    archive stay.

    Args:
        keep: the members that stay.
        orphaned_objects: whether to remove also objects whose record was never written, because the worker died.

    Returns:
        the number of members that are not removed yet.

    Raises:
        Transient: a service did not answer.
    """
    left = 0
    tenant, removed = container.tenant, removed_original("", _sequencer(container))
    members = (each for each in _newest_objects(services, container) if _document(each) not in keep)
    while batch := list(islice(members, _BATCH)):
        records = services.documents.read_many(tenant, [_document(each) for each in batch])
        for each in batch:
            record = records.get(_document(each))
            if record is None or record.status is Status.DELETED:
                if orphaned_objects and _is_being_removed(services, container):
                    services.objects.remove(tenant, each.key, each.version)
            elif record.container == container.id:
                left += 1
                receive_removal(services, tenant, record.id, removed)
    return left


def _sequencer(container: Document) -> str:
    return f"{container.generation:016x}"


def _newest_objects(services: Services, container: Document) -> Iterator[Listed]:
    """The newest version of each member's object; delete markers do not count."""
    tenant = container.tenant
    listed = services.objects.listed(tenant, f"files/{tenant}/{_id_prefix(tenant, container.id)}")
    for _, versions in groupby(listed, key=lambda each: each.key):
        yield from islice((each for each in versions if not each.marker), 1)


def _document(stored: Listed) -> DocumentId:
    return DocumentId(stored.key.rpartition("/")[2])


def _is_being_removed(services: Services, container: Document) -> bool:
    """Whether the archive, in this generation, is still deleted or being deleted."""
    record = services.documents.read(container.tenant, container.id)
    return record is not None and record.hidden and record.generation == container.generation
