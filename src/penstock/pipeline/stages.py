"""The stages: how each is claimed, done, given up and asked for again. A new stage is its module and a row here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from penstock.documents.archive_members import remove_with_members
from penstock.domain.document import Document
from penstock.domain.status import Status
from penstock.domain.task import Message, Stage
from penstock.pipeline.embed import embed
from penstock.pipeline.extract import extract
from penstock.pipeline.next_stage import continue_build
from penstock.records.claim import Claim
from penstock.records.document_lease import take_delete, take_extract
from penstock.records.shard_lease import take_embed
from penstock.services import Services

C = TypeVar("C", bound=Claim)


@dataclass(frozen=True, slots=True)
class StageRule(Generic[C]):
    """What is particular to one stage."""

    take: Callable[[Services, Message], C]
    """Takes the lease that the message asks for."""
    work: Callable[[Services, C], None]
    """Does the work of the stage under that lease."""
    resend: Callable[[Services, Document], None]
    """Sends the stage's message again for a record that waits for it."""
    owed_in: frozenset[Status]
    """The statuses of a record that waits for this stage, or is in it."""
    gives_up: bool = True
    """Whether the attempt fails once its tries are used up. A stage that does not give up is tried forever."""


def _send_again(stage: Stage) -> Callable[[Services, Document], None]:
    def send(services: Services, record: Document) -> None:
        services.queue.send(Message(stage, record.tenant, record.id, record.generation), record.lane)

    return send


STAGES: Mapping[Stage, StageRule[Any]] = MappingProxyType(
    {
        Stage.EXTRACT: StageRule(
            take_extract, extract, _send_again(Stage.EXTRACT), frozenset({Status.QUEUED, Status.EXTRACTING})
        ),
        Stage.EMBED: StageRule(take_embed, embed, continue_build, frozenset({Status.EMBEDDING})),
        # A document that somebody wants removed never ends as failed.
        Stage.DELETE: StageRule(
            take_delete, remove_with_members, _send_again(Stage.DELETE), frozenset({Status.DELETING}), gives_up=False
        ),
    }
)


def owed_stage(record: Document) -> Stage:
    """The stage that an unfinished record waits for, or is in.

    Raises:
        StopIteration: the record is finished.
    """
    return next(stage for stage, rule in STAGES.items() if record.status in rule.owed_in)
