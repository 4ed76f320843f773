"""Members: the files of an archive, each a document of its own, received by the verb that receives an upload.

A member's id begins with what its archive's id comes to, and so does the key of its original. So all that were ever
taken of an archive are found by one listing of the bucket, whoever died in the midst of taking them: the object is
there before its record. Their originals carry the archive's generation as the sequencer: like S3's events, what an
older one has to say is known as old (I2)."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby, islice
from tempfile import TemporaryFile

from penstock.documents.receive import Upload, after_removal, receive_upload
from penstock.documents.remove import receive_removal, remove
from penstock.domain.document import Document, Original
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
_SOON, _LATE = 2, 60
"""Seconds until it is looked again whether all members are gone: soonest, and of very many."""
_BATCH = 100
"""Records that are read at once."""
_LONGEST_NAME = 255
"""Bytes of UTF-8, as of every other name."""
_CUT = "..."


def member_id(tenant: TenantId, container: DocumentId, path: Sequence[str]) -> DocumentId:
    """I3: the same file of the same archive is the same document."""
    return DocumentId(f"{_prefix(tenant, container)}{derived_id(tenant, container, *path)}")


def _prefix(tenant: TenantId, container: DocumentId) -> str:
    return f"{derived_id(tenant, container)[:_PREFIX]}-"


def member_name(archive: str, path: Sequence[str]) -> str:
    """As it is shown, and cited; of a long one the beginning and the end."""
    name = "/".join(filter(None, map(one_line, (archive, *path)))).encode()
    if len(name) <= _LONGEST_NAME:
        return name.decode()
    half = (_LONGEST_NAME - len(_CUT)) // 2
    return name[:half].decode(errors="ignore") + _CUT + name[-half:].decode(errors="ignore")


@dataclass(slots=True)
class MemberReceiver:
    """An extract that takes an archive apart."""

    services: Services
    claim: DocumentLease
    taken: set[DocumentId] = field(default_factory=set)
    _new: int = 0
    _noted: bool = False

    def take(self, member: Member) -> None:
        """Receive it, unless the same bytes are there already.

        Raises:
            TooLarge: it is not taken.
            Fenced: the claim was lost.
            Checkpointed: the time is over; the next run finds what this one has taken.
            OutOfTime: and finds no time for more.
            Transient: a service did not answer, or what was there before is still being removed.
        """
        services, record = self.services, self.claim.document
        if member.size > services.limits.file_bytes:
            raise TooLarge(limit=services.limits.file_bytes)
        self._look_at_the_time()
        self._note()
        document = member_id(record.tenant, record.id, member.path)
        with TemporaryFile(prefix="penstock-") as file:
            digest = hashlib.sha256()
            for block in member.content:
                digest.update(block)
                file.write(block)
            file.seek(0)
            upload = Upload(
                file,
                member_name(record.original.name, member.path),
                member.size,
                digest.hexdigest(),
                member.media_type,
                _sequencer(record),
            )
            try:
                received = receive_upload(
                    services,
                    record.tenant,
                    upload,
                    document=document,
                    source=record.source,
                    lane=record.lane,
                    metadata=record.metadata,
                    container=record.id,
                )
            except BeingDeleted as error:
                raise after_removal(services, error) from error
        self.taken.add(document)
        self._new += not received.already_here

    def drop_others(self) -> None:
        """What came in this archive before, and is in it no more, goes.

        Raises:
            Transient: a service did not answer.
        """
        if self._holds:
            remove_members(self.services, self.claim.document, but=self.taken)

    @property
    def _holds(self) -> bool:
        """Whether the record says that there are members."""
        return self._noted or self.claim.document.has_members

    def _look_at_the_time(self) -> None:
        stop_request = self.services.stop_request()
        if stop_request is None:
            return
        if stop_request.limit is not None and not self._new:
            raise OutOfTime(limit=stop_request.limit, kind="zip", way_out=stop_request.way_out)
        self.claim.release(self.services)
        raise Checkpointed

    def _note(self) -> None:
        """That there are members, before there are: a removal looks for them then."""
        if self._holds:
            return

        def decide(record: Document | None) -> Document:
            return replace(self.claim.held(record), has_members=True)

        update_record(self.services, self.claim.tenant, self.claim.document.id, decide)
        self._noted = True


def remove_with_members(services: Services, claim: DocumentLease) -> None:
    """The delete stage. What came in an archive goes first: the archive is told as deleted when all of it is.

    Raises:
        MembersLeft: not yet.
        LeftBehind, Fenced, Transient: as for `remove`.
    """
    if claim.document.has_members and (left := remove_members(services, claim.document, strays=True)):
        raise MembersLeft(count=left, retry_after=min(_SOON + left / _BATCH, _LATE))
    remove(services, claim)


def remove_members(
    services: Services, container: Document, *, but: Collection[DocumentId] = (), strays: bool = False
) -> int:
    """Hide all that came in this archive, and ask for their removal. What a later generation of it has brought stays.

    Args:
        strays: also objects whose record was never written, as their extract died before.

    Returns:
        how many are not gone yet.

    Raises:
        Transient: a service did not answer.
    """
    left = 0
    tenant, removed = container.tenant, Original("", "", "", 0, "", sequencer=_sequencer(container))
    members = (each for each in _newest_objects(services, container) if _document(each) not in but)
    while batch := list(islice(members, _BATCH)):
        records = services.documents.read_many(tenant, [_document(each) for each in batch])
        for each in batch:
            record = records.get(_document(each))
            if record is None or record.status is Status.DELETED:
                if strays and _still(services, container):
                    services.objects.remove(tenant, each.key, each.version)
            elif record.container == container.id:
                left += 1
                receive_removal(services, tenant, record.id, removed)
    return left


def _sequencer(container: Document) -> str:
    return f"{container.generation:016x}"


def _newest_objects(services: Services, container: Document) -> Iterator[Listed]:
    tenant = container.tenant
    listed = services.objects.listed(tenant, f"files/{tenant}/{_prefix(tenant, container.id)}")
    for _, versions in groupby(listed, key=lambda each: each.key):
        yield from islice((each for each in versions if not each.marker), 1)


def _document(stored: Listed) -> DocumentId:
    return DocumentId(stored.key.rpartition("/")[2])


def _still(services: Services, container: Document) -> bool:
    record = services.documents.read(container.tenant, container.id)
    return record is not None and record.hidden and record.generation == container.generation
