"""Health: whether the process lives, whether what it needs answers, whether a worker takes tasks."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated

import anyio
from anyio import to_thread
from fastapi import APIRouter, Query, Request, Response

from penstock.api.auth import Caller
from penstock.api.dependencies import Given
from penstock.api.models import Alive, Pong, Ready
from penstock.api.openapi import answers, invalid, problems, together
from penstock.api.problems import Dependency, answer, headers_of, problem_of
from penstock.domain.errors import NotReady, NoWorkerAnswered, PenstockError, Transient
from penstock.domain.task import Lane
from penstock.services import Services

alive = APIRouter(tags=["health"])
"""Without a key."""
router = APIRouter(tags=["health"])

_ANSWER_WITHIN = 5.0  # seconds, for each dependency
_LONGEST_PING = 10.0  # seconds
_LOOK_EVERY = 0.05

_CHECKS: dict[str, Callable[[Services], object]] = {
    "objects": lambda services: services.objects.check(),
    "documents": lambda services: services.documents.check(),
    "queue": lambda services: services.queue.check(),
    "index": lambda services: services.index.check(),
    "embedder": lambda services: services.embedder.space,
}
_FINE = {name: Dependency(ok=True) for name in _CHECKS}


def _told(example: Alive | Ready, description: str, *errors: PenstockError) -> dict[int | str, dict[str, object]]:
    good = {"description": description, "content": {"application/json": {"example": example.model_dump()}}}
    return {HTTPStatus.OK.value: good, **problems(*errors)}


@alive.get("/healthz", summary="Is it alive?", responses=_told(Alive(status="ok"), "The process answers."))
async def healthz() -> Alive:
    """Says that the process answers, and nothing of what it needs."""
    return Alive(status="ok")


@alive.get(
    "/readyz",
    summary="Is it ready?",
    response_model=Ready,
    responses=_told(
        Ready(status="ready", dependencies=_FINE), "All that it needs answers.", NotReady(names="queue, index")
    ),
)
async def readyz(request: Request) -> Response | Ready:
    """Asks each dependency, by name. The embedder is only loaded, not called: a call may cost money."""
    states = await check_all(request.app.state.services, _ANSWER_WITHIN)
    wrong = [name for name, state in states.items() if not state.ok]
    if not wrong:
        return Ready(status="ready", dependencies=states)
    error = NotReady(names=", ".join(wrong))
    problem = problem_of(error).model_copy(update={"dependencies": states})
    return answer(problem, request.state.request_id, headers_of(error))


async def check_all(connected: Callable[[], Services], seconds: float) -> dict[str, Dependency]:
    """All dependencies at once; one that has not answered after so many seconds is not waited for."""
    found: dict[str, Dependency] = {}
    async with anyio.create_task_group() as asking:
        for name, check in _CHECKS.items():
            asking.start_soon(_ask, found, name, lambda check=check: check(connected()), seconds)
    return {name: found[name] for name in _CHECKS}


async def _ask(found: dict[str, Dependency], name: str, check: Callable[[], object], seconds: float) -> None:
    found[name] = Dependency(ok=False, code=Transient.code, problem=f"No answer within {seconds:g} seconds.")
    with anyio.move_on_after(seconds):
        try:
            await to_thread.run_sync(check, abandon_on_cancel=True)
        except PenstockError as error:
            problem = problem_of(error)
            found[name] = Dependency(ok=False, code=problem.code, problem=problem.detail)
        else:
            found[name] = Dependency(ok=True)


@router.post(
    "/health/task",
    summary="Does a worker answer?",
    responses=together(
        answers(
            HTTPStatus.OK,
            "A worker answered.",
            Pong(lane=Lane.STANDARD, milliseconds=38.5),
            NoWorkerAnswered(lane=Lane.STANDARD, seconds=_LONGEST_PING),
        ),
        invalid("query.lane", "Input should be 'express', 'standard' or 'bulk'", "enum"),
    ),
)
async def ping_worker(
    tenant: Caller,
    services: Given,
    lane: Annotated[Lane, Query(description="Whose workers are asked.", examples=["standard"])] = Lane.STANDARD,
    seconds: Annotated[
        float, Query(gt=0, le=_LONGEST_PING, description="The longest to wait.", examples=[10])
    ] = _LONGEST_PING,
) -> Pong:
    """Send a no-op through the queue, and wait until a worker has answered it."""
    ping, began = uuid.uuid4().hex, time.perf_counter()
    await to_thread.run_sync(services.queue.ping, tenant, ping, lane)
    while not await to_thread.run_sync(services.pings.answered, tenant, ping):
        if time.perf_counter() - began > seconds:
            raise NoWorkerAnswered(lane=lane, seconds=seconds)
        await anyio.sleep(_LOOK_EVERY)
    return Pong(lane=lane, milliseconds=round((time.perf_counter() - began) * 1000, 1))
