"""Errors, by what follows from them: fail now, try again, or stop quietly. The docstring of an error is its message."""

from __future__ import annotations

import inspect
from datetime import datetime
from typing import ClassVar


class PenstockError(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "internal_error"
    """The code is for programs and does not change. The message is for people and may be reworded."""

    def __init__(self, **facts: object) -> None:
        """Make the error. Its message is the docstring of the class, and `facts` fill the {placeholders} in it."""
        self.facts = facts
        super().__init__(" ".join(inspect.cleandoc(type(self).__doc__ or "").format(**facts).split()))

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.facts)


def _rebuild(kind: type[PenstockError], facts: dict[str, object]) -> PenstockError:
    return kind(**facts)


class Permanent(PenstockError):
    """This will fail the same way each time."""

    code = "permanent"


class Transient(PenstockError):
    """This may succeed later: {why}."""

    code = "temporarily_unavailable"

    def __init__(self, *, retry_after: float | None = None, **facts: object) -> None:
        """Make the error. `retry_after` is the number of seconds that the other side asked us to wait, if it did."""
        self.retry_after = retry_after
        super().__init__(**facts)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), {"retry_after": self.retry_after, **self.facts})


class NotYet(Transient):
    """The embedding provider is not asked for now: {why}. Nothing failed, and no attempt is counted."""

    code = "provider_waits"

    def __init__(self, *, retry_after: float, **facts: object) -> None:
        super().__init__(retry_after=retry_after, **facts)
        self.seconds = retry_after


class Fenced(PenstockError):
    """A newer claim, a newer generation, a cancel or a delete came first; nothing was changed."""

    code = "fenced"


class Interrupted(BaseException):
    """The runtime ends now. This is raised anywhere within the task, which then releases what it holds."""


class Cancelled(Fenced):
    """The cancel of this work was requested."""

    code = "cancelled"


class Conflict(PenstockError):
    """The item changed since it was read."""

    code = "conflict"


class Leased(PenstockError):
    """Another worker holds this until {until}."""

    code = "leased"

    def __init__(self, *, until: datetime) -> None:
        self.until = until
        super().__init__(until=until)


# What a caller did, or asked for


class NotFound(Permanent):
    """There is no {what} {id!r} here. Check the id, and that the key belongs to its tenant."""

    code = "not_found"


class BadRequest(Permanent):
    """{why}"""

    code = "bad_request"


class BeingDeleted(Permanent):
    """Document {document!r} is being deleted. Send it again when its delete task has ended."""

    code = "being_deleted"


class Deleted(Permanent):
    """Document {document!r} was deleted, and its bytes with it. Add it again to restore it."""

    code = "deleted"


class NothingToRetry(Permanent):
    """Document {document!r} is {status}: there is nothing to retry. A document that failed or was cancelled can be
    retried; to replace one, add the new bytes under its id."""

    code = "nothing_to_retry"


class NothingToCancel(Permanent):
    """Document {document!r} is {status}: no work is under way that could be cancelled. To remove it, delete it."""

    code = "nothing_to_cancel"


class CannotRedrive(Permanent):
    """Dead letter {id} cannot be sent again: {why}. Drop it: a copy is kept."""

    code = "cannot_redrive"


class TooLarge(Permanent):
    """The file is larger than {limit} bytes (PENSTOCK_MAX_FILE_BYTES). Split it, or raise the limit."""

    code = "file_too_large"


class TypeNotAccepted(Permanent):
    """Files of type {type} are not accepted. Accepted: {accepted} (PENSTOCK_ACCEPTED_TYPES)."""

    code = "type_not_accepted"


# What a file turned out to be


class EmptyFile(Permanent):
    """The file has no bytes. Upload it again; the upload may have been cut short."""

    code = "empty_file"


class UnsupportedType(Permanent):
    """The file is {found}, which cannot be read. Supported are: {accepted}. Convert it to one of these and upload
    that."""

    code = "unsupported_type"


class Unreadable(Permanent):
    """The file cannot be read as {kind}: {why}. Open it in a viewer, save a new copy and upload that."""

    code = "unreadable"


class PasswordRequired(Permanent):
    """The file is encrypted and does not open without a password. Upload a copy without one."""

    code = "password_required"


class LimitHit(Permanent):
    """Reading the file went over the limit of {limit} ({setting}). Split the file, or raise the limit."""

    code = "limit_hit"


class OutOfTime(Permanent):
    """Reading the file takes longer than {limit}, and a file of kind {kind} can only be read from its beginning.
    {way_out}, or split the file."""

    code = "out_of_time"


class ReaderDied(Permanent):
    """The process that opened the file ended without an answer ({why}). The file is damaged or hostile; save a new
    copy in a viewer and upload that."""

    code = "reader_died"


class OriginalMissing(Permanent):
    """The stored original is gone: it was removed from the bucket before it was read. Upload it again."""

    code = "original_missing"


# What the system found out about itself


class CountsDiffer(Transient):
    """The index holds {found} chunks where {expected} were sent; the work is done again."""

    code = "counts_differ"


class LeftBehind(Transient):
    """{chunks} chunks and {objects} objects were written while the document was removed; it is removed once more."""

    code = "left_behind"


class MembersLeft(Transient):
    """{count} documents that came in this archive are being removed; the archive is gone once they are."""

    code = "members_left"


class AttemptsUsedUp(Permanent):
    """It was tried {attempts} times; the last time: {cause}. Fix the cause, then retry the document."""

    code = "attempts_used_up"


class GivenUp(Permanent):
    """Its message was delivered again and again, and no worker ever reported a result ({reason}). Fix the cause (see
    the logs of that time), then retry the document."""

    code = "given_up"


class EmbedderChanged(Permanent):
    """The index was built with the embedder {stored}, and the one configured now is {configured}. Their vectors
    cannot be mixed: configure the old one again, or start a new index (locally: make clean-state) and add the
    documents again."""

    code = "embedder_changed"


class IllegalTransition(PenstockError):
    """A document may not go from {before} to {after}. This is a bug in Penstock."""

    code = "illegal_transition"


class ForeignKey(PenstockError):
    """Key {key!r} is not one of tenant {tenant!r}. This is a bug in Penstock."""

    code = "foreign_key"


class Misconfigured(Permanent):
    """{why}"""

    code = "misconfigured"


class BadSetting(Misconfigured):
    """A setting cannot be used. {why}."""

    code = "bad_setting"


# What a door refuses


class Unauthorized(Permanent):
    """This needs a key: send `Authorization: Bearer KEY`. The one sent, if any, is unknown or was revoked; an operator
    makes another with `penstock keys create`."""

    code = "unauthorized"


class RequestTooLarge(TooLarge):
    """The request is larger than {limit} bytes, the maximum for all of its files together (PENSTOCK_MAX_FILE_BYTES).
    Send several files one by one, split a single one, or raise the limit."""

    code = "request_too_large"


class SendByUpload(TooLarge):
    """The request is larger than {limit} bytes, the maximum for this way. Ask POST /v1/uploads for a place to send
    the file to; `penstock add` does that by itself."""

    code = "send_by_upload"


class UploadMissing(Permanent):
    """No file arrived before {until}."""

    code = "upload_missing"


class UploadStalled(Permanent):
    """No byte of the upload arrived for {seconds} seconds, so it was ended. Nothing was accepted; send it again."""

    code = "upload_stalled"


class NoWorkerAnswered(Transient):
    """No worker of lane {lane} answered within {seconds} seconds. Is one running, and is it busy? Documents wait in
    their queue meanwhile."""

    code = "no_worker_answered"


class NotReady(Transient):
    """Not ready: {names}. `dependencies` says what is wrong with each."""

    code = "not_ready"


# What a service answered


class Refused(Permanent):
    """{service} refused the call: {why}"""

    code = "refused"


class UnknownItem(PenstockError):
    """Item {key!r} of the table is not one that this version of Penstock can read: {why}. A newer version may have
    written it: finish the deployment, or go back to that version."""

    code = "unknown_item"


class EmbeddingMisconfigured(Permanent):
    """The embedding provider refuses every call: {why}. Check OPENAI_API_KEY (or the parameter that
    PENSTOCK_PROVIDER_KEY names), OPENAI_BASE_URL, PENSTOCK_OPENAI_MODEL and PENSTOCK_OPENAI_DIMENSIONS."""

    code = "embedding_misconfigured"
