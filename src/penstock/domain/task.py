"""Messages, which ask a worker for one stage of work, and task ids, which a caller polls."""

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
    """The lane of a document: queues with workers of their own. Lanes are separate capacity, not an order."""

    EXPRESS = "express"
    STANDARD = "standard"
    BULK = "bulk"


def queue_name(stage: Stage, lane: Lane) -> str:
    """The name of the queue for messages of this stage and lane. Delete has one queue for all lanes."""
    return stage.value if stage is Stage.DELETE else f"{stage.value}-{lane.value}"


QUEUES: tuple[str, ...] = tuple(dict.fromkeys(queue_name(stage, lane) for stage in Stage for lane in Lane))
"""The names of all stage queues."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message to a worker. It carries ids only (I1). Only embed has `build` and `shard`."""

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
        """The message that has these task arguments.

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
    """What a task does with its document."""

    INGEST = "ingest"
    DELETE = "delete"
    UPLOAD = "upload"
    """The task waits for a file, and then has the state of the file's ingest. Its id names the upload, not the
    document."""


_TASK_ID = re.compile(r"(?P<operation>ingest|delete|upload)-(?P<generation>\d{1,16})-(?P<document>.+)")


@dataclass(frozen=True, slots=True)
class TaskId:
    """One operation on one generation of a document. No item is stored for a task: the record says its state. The id of
    an upload task has the id of the upload, and the time of its announcement as the generation."""

    operation: Operation
    generation: int
    document: str

    def __str__(self) -> str:
        return f"{self.operation}-{self.generation}-{self.document}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The task id that this text is.

        Raises:
            NotFound: the text is not a task id.
        """
        match = _TASK_ID.fullmatch(text)
        if match is None:
            raise NotFound(what="task", id=text)
        return cls(Operation(match["operation"]), int(match["generation"]), match["document"])


class TaskState(StrEnum):
    """The state of a task, in Celery's words."""

    PENDING = "PENDING"
    STARTED = "STARTED"
    PROGRESS = "PROGRESS"
    RETRY = "RETRY"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    REVOKED = "REVOKED"
