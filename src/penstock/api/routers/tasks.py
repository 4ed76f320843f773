"""GET /v1/tasks: the state of the work that a request started."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path

from penstock.api.auth import CallerTenant
from penstock.api.dependencies import ServicesDep
from penstock.api.models.receipt import Progress
from penstock.api.models.tasks import Task
from penstock.api.openapi import responses
from penstock.documents.progress import task as follow
from penstock.domain.errors import NotFound
from penstock.domain.status import Status
from penstock.domain.task import Operation, TaskId, TaskState

Id = Annotated[str, Path(description="The task's id.", examples=["ingest-1772357400000-handbook"])]

router = APIRouter(prefix="/v1", tags=["tasks"])

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
    responses=responses(
        HTTPStatus.OK,
        "The state of the task. PENDING, STARTED, PROGRESS and RETRY are passing states; SUCCESS, FAILURE and REVOKED "
        "are final. There is one exception: once the document is replaced or deleted, an older task is REVOKED, with "
        "the reason.",
        _EXAMPLE,
        NotFound(what="task", id="ingest-1772357400000-handbook"),
    ),
)
def get_task(task: Id, tenant: CallerTenant, services: ServicesDep) -> Task:
    """Get the state of an ingest, an upload or a deletion, with its progress and its result. If it failed, `next_steps`
    says what to do."""
    return Task.of(follow(services, tenant, TaskId.parse(task)))
