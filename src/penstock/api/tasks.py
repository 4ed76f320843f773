"""Tasks: how what was asked for stands."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path

from penstock.api.auth import Caller
from penstock.api.dependencies import Given
from penstock.api.models import Progress, Task
from penstock.api.openapi import answers
from penstock.documents.progress import task as follow
from penstock.domain.errors import NotFound
from penstock.domain.status import Status
from penstock.domain.task import Operation, TaskId, TaskState

Id = Annotated[str, Path(description="The task's id.", examples=["ingest-1772357400000-handbook"])]

router = APIRouter(tags=["tasks"])

_EXAMPLE = Task(
    task_id="ingest-1772357400000-handbook",
    operation=Operation.INGEST,
    document_id="handbook",
    state=TaskState.PROGRESS,
    document_status=Status.EMBEDDING,
    progress=Progress(current=180, total=300, unit="pages"),
    result=None,
    error=None,
    reason=None,
    next_steps=[],
)


@router.get(
    "/tasks/{task}",
    summary="Follow a task",
    responses=answers(
        HTTPStatus.OK,
        "PENDING, STARTED, PROGRESS and RETRY go on; SUCCESS, FAILURE and REVOKED are the end, "
        "but for this: once its document is replaced or deleted, an older task says REVOKED and why.",
        _EXAMPLE,
        NotFound(what="task", id="ingest-1772357400000-handbook"),
    ),
)
def get_task(task: Id, tenant: Caller, services: Given) -> Task:
    """The state of an ingest or a removal, how far it is, and its result; for a failed one, what to do next."""
    return Task.of(follow(services, tenant, TaskId.parse(task)))
