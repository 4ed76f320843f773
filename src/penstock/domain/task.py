"""What is asked of a worker (a message: ids only) and what a caller polls (a task id)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from penstock.domain.errors import BadRequest, NotFound


class Stage(StrEnum):
    """A kind of work with queues of its own."""

    EXTRACT = "extract"
    EMBED = "embed"
    DELETE = "delete"


class Lane(StrEnum):
    """The priority of a document: separate capacity, not an order."""

    EXPRESS = "express"
    STANDARD = "standard"
    BULK = "bulk"


def queue_name(stage: Stage, lane: Lane) -> str:
    """The queue that a message of this stage and lane travels by. Delete has one lane."""
    return stage.value if stage is Stage.DELETE else f"{stage.value}-{lane.value}"


QUEUES: tuple[str, ...] = tuple(dict.fromkeys(queue_name(stage, lane) for stage in Stage for lane in Lane))
"""All stage queues by name."""


@dataclass(frozen=True, slots=True)
class Message:
    """I1: ids only. `build` and `shard` are given for embed alone."""

    stage: Stage
    tenant: str
    document: str
    generation: int
    build: int | None = None
    shard: int | None = None

    def arguments(self) -> dict[str, str | int]:
        """The keyword arguments of the Celery task."""
        ids: dict[str, str | int] = {
            "tenant": self.tenant,
            "document": self.document,
            "generation": self.generation,
        }
        if self.build is not None and self.shard is not None:
            ids |= {"build": self.build, "shard": self.shard}
        return ids

    @classmethod
    def of(cls, stage: Stage, arguments: Mapping[str, object]) -> Self:
        """The message that these task arguments came from.

        Raises:
            BadRequest: a field is missing, is not of its type, or does not belong to this stage.
        """
        known: dict[str, type] = {"tenant": str, "document": str, "generation": int}
        if stage is Stage.EMBED:
            known |= {"build": int, "shard": int}
        typed = all(type(arguments.get(name)) is kind for name, kind in known.items())
        if not typed or arguments.keys() != known.keys():
            raise BadRequest(why=f"A message of stage {stage} has exactly {', '.join(known)}; got {dict(arguments)!r}.")
        return cls(stage, **arguments)  # type: ignore[arg-type]  # checked above, field by field


class Operation(StrEnum):
    """What a task does to its document."""

    INGEST = "ingest"
    DELETE = "delete"
    UPLOAD = "upload"
    """A file is awaited; once it has come, how its ingest stands. Such an id names the upload, not the document."""


_TASK_ID = re.compile(r"(?P<operation>ingest|delete|upload)-(?P<generation>\d{1,16})-(?P<document>.+)")


@dataclass(frozen=True, slots=True)
class TaskId:
    """One operation on one generation of a document. No item is stored for it: the record tells its state. Of an upload
    it is the upload's id, and the moment that it was announced."""

    operation: Operation
    generation: int
    document: str

    def __str__(self) -> str:
        return f"{self.operation}-{self.generation}-{self.document}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """
        Raises:
            NotFound: the text is no task id.
        """
        match = _TASK_ID.fullmatch(text)
        if match is None:
            raise NotFound(what="task", id=text)
        return cls(Operation(match["operation"]), int(match["generation"]), match["document"])


class TaskState(StrEnum):
    """Celery's words for how a task stands."""

    PENDING = "PENDING"
    STARTED = "STARTED"
    PROGRESS = "PROGRESS"
    RETRY = "RETRY"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    REVOKED = "REVOKED"
