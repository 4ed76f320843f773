"""Dead letters: messages that their queue gave up. Each is settled (I4), and filed in the bucket for an operator.

The dead-letter queues are emptied as they fill, so the bucket is where letters are. An open letter wants somebody to
look at it; of a letter that was sent again or dismissed, a copy is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from io import BytesIO
from typing import Any

import orjson

from penstock.documents.retry import RETRIED, request_retry
from penstock.domain.errors import CannotRedrive, Fenced, GivenUp, Leased, NotFound, OriginalMissing
from penstock.domain.ids import DocumentId, TenantId
from penstock.domain.receipt import Failure
from penstock.domain.status import Status
from penstock.domain.task import Message, Stage
from penstock.pipeline.stages import STAGES
from penstock.records.claim import Claim, StageDone
from penstock.services import Services

OPERATOR = TenantId("_")
"""Whose letters are: no tenant has this id. They hold ids, and what nobody can read (I1)."""

POISON = "poison"
"""What became of a letter that is no message of ours."""
REDRIVEN, DROPPED = "redriven", "dropped"
_OPEN = frozenset({POISON, "failed"})


@dataclass(frozen=True, slots=True)
class Letter:
    """A message that its queue gave up."""

    id: str
    queue: str
    """Which one gave it up: a stage, or arrivals."""
    reason: str
    fate: str
    """What became of it: failed (its document), stale, asked_again, poison; in the end redriven or dropped."""
    sent: datetime
    filed: datetime
    body: str
    """As it was received."""
    message: Mapping[str, Any] = field(default_factory=dict)
    """The arguments of its task; empty where nobody can read it."""

    @property
    def open(self) -> bool:
        return self.fate in _OPEN

    @property
    def key(self) -> str:
        """A letter that is filed twice, as its queue may deliver it twice, is one."""
        return f"{_folder(kept=not self.open)}{self.queue}/{self.id}.json"


def file_letter(services: Services, letter: Letter) -> None:
    """
    Raises:
        Transient: the bucket did not answer; to be done again.
    """
    body = orjson.dumps(asdict(letter))
    services.objects.put(OPERATOR, letter.key, BytesIO(body), content_type="application/json")


def letters(
    services: Services, *, kept: bool = False, queue: str = "", reason: str = "", tenant: str = ""
) -> Iterator[Letter]:
    """Those of a queue, with words of the reason (whatever their case), of a tenant; the oldest of each queue first.
    Open ones, or those that are kept."""
    for each in services.objects.listed(OPERATOR, _folder(kept=kept) + (f"{queue}/" if queue else "")):
        letter = _read(services, each.key) if each.latest and not each.marker else None
        if letter is None or reason.casefold() not in letter.reason.casefold():
            continue
        if tenant in {"", letter.message.get("tenant")}:
            yield letter


def find_letter(services: Services, id_: str) -> Letter:
    """
    Raises:
        NotFound: there is none of this id, open or kept.
    """
    for kept in (False, True):
        for each in services.objects.listed(OPERATOR, _folder(kept=kept)):
            if each.key.endswith(f"/{id_}.json") and (letter := _read(services, each.key)) is not None:
                return letter
    raise NotFound(what="dead letter", id=id_)


def check_redrive(services: Services, letter: Letter) -> str:
    """What sending it again would do, in words.

    Raises:
        CannotRedrive: nothing; why.
    """
    message = _message(letter)
    record = services.documents.read(TenantId(message.tenant), DocumentId(message.document))
    if record is None or record.generation != message.generation or record.status is Status.DELETED:
        raise CannotRedrive(id=letter.id, why="its document is gone, or was replaced since")
    if record.status in RETRIED:
        return f"retry document {record.id}, which {'failed' if record.status is Status.FAILED else 'was cancelled'}"
    if record.in_work or record.status in {Status.QUEUED, Status.DELETING}:
        return f"send {message.stage} of document {record.id} again, which is {record.status}"
    raise CannotRedrive(id=letter.id, why=f"its document is {record.status}: there is nothing left to do")


def redrive(services: Services, letter: Letter) -> str:
    """Have its work done again, and keep it as redriven: in this order, so that it is never lost; done twice, the
    second message finds nothing to do. What was done, in words.

    Raises:
        CannotRedrive: as for `check_redrive`.
        Transient: a service did not answer; to be done again.
    """
    done, message = check_redrive(services, letter), _message(letter)
    tenant, document = TenantId(message.tenant), DocumentId(message.document)
    record = services.documents.read(tenant, document)
    if record is not None and record.status in RETRIED:
        request_retry(services, tenant, document)
    elif record is not None:
        services.queue.send(message, record.lane)
    _keep(services, letter, REDRIVEN)
    return done


def drop(services: Services, letter: Letter) -> None:
    """Nobody has to look at it any more; a copy is kept."""
    _keep(services, letter, DROPPED)


def _keep(services: Services, letter: Letter, fate: str) -> None:
    file_letter(services, replace(letter, fate=fate, filed=services.clock()))
    if letter.open:
        services.objects.remove(OPERATOR, letter.key)


def _message(letter: Letter) -> Message:
    if not letter.message or letter.queue not in set(Stage):
        raise CannotRedrive(id=letter.id, why="it is no message of ours")
    return Message.of(Stage(letter.queue), letter.message)


def _read(services: Services, key: str) -> Letter | None:
    try:
        with services.objects.get(OPERATOR, key) as blocks:
            held = orjson.loads(b"".join(blocks))
    except OriginalMissing:
        return None  # somebody else has seen to it
    return Letter(**held | {name: datetime.fromisoformat(held[name]) for name in ("sent", "filed")})


def _folder(*, kept: bool) -> str:
    return f"letters/{OPERATOR}/{'kept' if kept else 'open'}/"


class Settled(StrEnum):
    """What became of it."""

    FAILED = "failed"
    """The document is: by this letter, or by the last of its attempts, which sent it."""
    STALE = "stale"
    """The letter is old news: its stage is done, somebody works on it, or nobody wants it any more."""
    ASKED_AGAIN = "asked_again"


def settle(services: Services, message: Message, reason: str, *, sent: datetime | None = None) -> Settled:
    """Fail the attempt, if its stage is unfinished and no lease lives: that is, if it can be claimed. A removal is
    asked for again: somebody wants the document gone; and so is what had to wait.

    Args:
        sent: when the letter was; one that is older than the newest attempt says nothing of that.

    Raises:
        Transient: a service did not answer; to be done again.
    """
    if not STAGES[message.stage].gives_up:
        return _asked_again(services, message)
    record = services.documents.read(TenantId(message.tenant), DocumentId(message.document))
    if record is None or record.generation != message.generation or (sent is not None and sent < record.accepted):
        return Settled.STALE
    if record.status is Status.FAILED:
        return Settled.FAILED
    try:
        claim: Claim = STAGES[message.stage].take(services, message)
        if claim.deferrals:
            return _waits_on(services, claim)
        error = GivenUp(reason=reason)
        claim.fail(services, Failure(error.code, str(error), attempt=claim.attempts + 1, at=services.clock()))
    except (Leased, StageDone, Fenced):
        return Settled.STALE
    return Settled.FAILED


def _waits_on(services: Services, claim: Claim) -> Settled:
    """Its queue gave it up for being received so often; it only waited, and waiting is never judged dead."""
    delay = services.limits.longest_backoff
    services.queue.send(claim.message, claim.document.lane, delay=delay)
    claim.defer(services, delay)
    return Settled.ASKED_AGAIN


def _asked_again(services: Services, message: Message) -> Settled:
    record = services.documents.read(TenantId(message.tenant), DocumentId(message.document))
    if record is None or record.generation != message.generation or record.status is not Status.DELETING:
        return Settled.STALE
    services.queue.send(message, record.lane, delay=services.limits.longest_backoff)
    return Settled.ASKED_AGAIN
