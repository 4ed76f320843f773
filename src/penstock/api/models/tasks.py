"""Models of GET /v1/tasks: the state of a task, its progress and its result."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, Field

from penstock.api.models.receipt import Failure, Progress, Receipt
from penstock.documents.progress import TaskView
from penstock.domain.receipt import Removal
from penstock.domain.status import Status
from penstock.domain.task import TaskState


class Removed(BaseModel):
    """What a deletion removed. When it ended, it counted again and found nothing left."""

    chunks: int = Field(description="The number of chunks that were in the index.")
    objects: int = Field(description="The number of objects in the bucket: the original and what was derived from it.")
    versions: int = Field(description="The number of versions that these objects had.")

    @classmethod
    def of(cls, removal: Removal | None) -> Self | None:
        return None if removal is None else cls.model_validate(removal, from_attributes=True)


class TaskResult(BaseModel):
    """The result of a task that succeeded."""

    document_id: str = Field(description="The document that the task worked on.")
    generation: int | None = Field(description="The generation of the document that the task worked on.")
    receipt: Receipt | None = Field(description="The receipt of an ingest. Null for a deletion.")
    removed: Removed | None = Field(
        description="What a deletion removed. Null for an ingest, and once the document has been added again."
    )


class Task(BaseModel):
    """The state of a task, in the words that Celery uses."""

    task_id: str
    operation: str = Field(description="What the task does: `ingest`, `delete` or `upload`.")
    document_id: str = Field(description="The document that the task works on.")
    state: TaskState = Field(
        description="PENDING, STARTED, PROGRESS and RETRY are passing states. SUCCESS, FAILURE and REVOKED are final."
    )
    document_status: Status | None = Field(
        description="The status of the document. Null while the file of an upload has not arrived."
    )
    progress: Progress
    result: TaskResult | None = Field(description="The result, once the task has succeeded.")
    error: Failure | None = Field(description="Why the task failed. While it continues: the error of its last try.")
    reason: str | None = Field(
        description="Why the task was revoked: `cancelled`, `deleted` or `superseded`. It is `cancelling` from the "
        "request to cancel until the work has stopped."
    )
    next_steps: list[str] = Field(description="If the task failed: what the caller can do.")

    @classmethod
    def of(cls, view: TaskView) -> Self:
        result = TaskResult(
            document_id=view.document,
            generation=view.generation,
            receipt=Receipt.of(view.receipt),
            removed=Removed.of(view.removal),
        )
        return cls(
            task_id=str(view.id),
            operation=view.id.operation,
            document_id=view.document,
            state=view.state,
            document_status=view.status,
            progress=Progress.of(view.progress),
            result=result if view.state is TaskState.SUCCESS else None,
            error=Failure.of(view.failure),
            reason=view.reason,
            next_steps=list(view.next_steps),
        )
