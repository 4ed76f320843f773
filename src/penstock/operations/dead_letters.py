"""Dead letters: messages that their queue gave up. They are filed in the bucket; an operator redrives or drops them.

The dead-letter queues are emptied as they fill, so the bucket is where letters are kept. An open letter needs attention
from an operator. Every other letter is kept as a copy: it was redriven or dropped, or it never needed attention.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from io import BytesIO
from typing import Any

import orjson

from penstock.documents.retry import RETRYABLE, request_retry
from penstock.domain.errors import CannotRedrive, NotFound, OriginalMissing
from penstock.domain.ids import DocumentId, TenantId
from penstock.domain.status import Status
from penstock.domain.task import Message, Stage
from penstock.operations.dead_letter_handling import Settled
from penstock.services import Services

OPERATOR = TenantId("_")
"""The owner of all letters: no tenant can have this id. Letters hold ids, and messages that could not be read (I1)."""

POISON = "poison"
"""The fate of a letter that is not a message of Penstock."""
REDRIVEN, DROPPED = "redriven", "dropped"
_OPEN = frozenset({POISON, Settled.FAILED.value})


@dataclass(frozen=True, slots=True)
class Letter:
    """A message that its queue gave up."""

    id: str
    queue: str
    """The queue that gave the message up: the name of a stage, or "arrivals"."""
    reason: str
    fate: str
    """What became of the letter: a value of `Settled`, or "poison"; in the end "redriven" or "dropped"."""
    sent: datetime
    filed: datetime
    body: str
    """The body of the message as it was received."""
    message: Mapping[str, Any] = field(default_factory=dict)
    """The arguments of the message's task. They are empty if the message could not be read."""

    @property
    def open(self) -> bool:
        """Whether the letter needs somebody's attention."""
        return self.fate in _OPEN

    @property
    def key(self) -> str:
        """The letter's key in the bucket. A queue may deliver a letter twice; filed twice, it is still one object."""
        return f"{_folder(kept=not self.open)}{self.queue}/{self.id}.json"


# Filing and finding


def file_letter(services: Services, letter: Letter) -> None:
    """Store the letter in the bucket.

    Raises:
        Transient: the bucket did not answer; the letter has to be filed again later.
    """
    body = orjson.dumps(asdict(letter))
    services.objects.put(OPERATOR, letter.key, BytesIO(body), content_type="application/json")


def letters(
    services: Services, *, kept: bool = False, queue: str = "", reason: str = "", tenant: str = ""
) -> Iterator[Letter]:
    """Open letters, the oldest of each queue first.

    Args:
        kept: whether to list kept letters instead of open ones.
        queue: only letters of this queue.
        reason: only letters whose reason contains this text, ignoring case.
        tenant: only letters of this tenant.
    """
    for each in services.objects.listed(OPERATOR, _folder(kept=kept) + (f"{queue}/" if queue else "")):
        letter = _read(services, each.key) if each.latest and not each.marker else None
        if letter is None or reason.casefold() not in letter.reason.casefold():
            continue
        if tenant in {"", letter.message.get("tenant")}:
            yield letter


def find_letter(services: Services, id_: str) -> Letter:
    """The letter with this id.

    Raises:
        NotFound: no open or kept letter has this id.
    """
    for kept in (False, True):
        for each in services.objects.listed(OPERATOR, _folder(kept=kept)):
            if each.key.endswith(f"/{id_}.json") and (letter := _read(services, each.key)) is not None:
                return letter
    raise NotFound(what="dead letter", id=id_)


def _read(services: Services, key: str) -> Letter | None:
    try:
        with services.objects.get(OPERATOR, key) as blocks:
            stored = orjson.loads(b"".join(blocks))
    except OriginalMissing:
        return None  # another operator has redriven or dropped it meanwhile
    return Letter(**stored | {name: datetime.fromisoformat(stored[name]) for name in ("sent", "filed")})


def _folder(*, kept: bool) -> str:
    return f"letters/{OPERATOR}/{'kept' if kept else 'open'}/"


# Redriving and dropping


def check_redrive(services: Services, letter: Letter) -> str:
    """A description of what a redrive of this letter would do.

    Raises:
        CannotRedrive: a redrive would do nothing; the error says why.
    """
    message = _message(letter)
    record = services.documents.read(TenantId(message.tenant), DocumentId(message.document))
    if record is None or record.generation != message.generation or record.status is Status.DELETED:
        raise CannotRedrive(id=letter.id, why="its document is gone, or was replaced since")
    if record.status in RETRYABLE:
        return f"retry document {record.id}, which {'failed' if record.status is Status.FAILED else 'was cancelled'}"
    if record.in_work or record.status in {Status.QUEUED, Status.DELETING}:
        return f"send {message.stage} of document {record.id} again, which is {record.status}"
    raise CannotRedrive(id=letter.id, why=f"its document is {record.status}: there is nothing left to do")


def redrive(services: Services, letter: Letter) -> str:
    """Have the work of this letter done again, and keep the letter as redriven. In this order the letter is never lost;
    if it is redriven twice, the second message finds nothing to do.

    Returns:
        a description of what was done.

    Raises:
        CannotRedrive: as for `check_redrive`.
        Transient: a service did not answer; the letter has to be redriven again.
    """
    done, message = check_redrive(services, letter), _message(letter)
    tenant, document = TenantId(message.tenant), DocumentId(message.document)
    record = services.documents.read(tenant, document)
    if record is not None and record.status in RETRYABLE:
        request_retry(services, tenant, document)
    elif record is not None:
        services.queue.send(message, record.lane)
    _keep(services, letter, REDRIVEN)
    return done


def drop(services: Services, letter: Letter) -> None:
    """Keep the letter as dropped: it needs no attention any more."""
    _keep(services, letter, DROPPED)


def _keep(services: Services, letter: Letter, fate: str) -> None:
    file_letter(services, replace(letter, fate=fate, filed=services.clock()))
    if letter.open:
        services.objects.remove(OPERATOR, letter.key)


def _message(letter: Letter) -> Message:
    if not letter.message or letter.queue not in set(Stage):
        raise CannotRedrive(id=letter.id, why="it is not a message of Penstock")
    return Message.of(Stage(letter.queue), letter.message)
