"""Health: whether the process runs, and whether the services that it depends on answer. Neither check needs a key."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

import anyio
from anyio import to_thread
from fastapi import APIRouter, Request, Response

from penstock.api.models.health import Alive, Ready
from penstock.api.openapi import problem_responses, success
from penstock.api.problems import Dependency, headers_of, problem_of, problem_response
from penstock.domain.errors import NotReady, PenstockError, Transient
from penstock.services import Services

router = APIRouter(tags=["health"])

_CHECK_SECONDS = 5.0
"""The maximum time that the check of one dependency may take."""

_CHECKS: dict[str, Callable[[Services], object]] = {
    "objects": lambda services: services.objects.check(),
    "documents": lambda services: services.documents.check(),
    "queue": lambda services: services.queue.check(),
    "index": lambda services: services.index.check(),
    "embedder": lambda services: services.embedder.space,
}
_ALL_OK = {name: Dependency(ok=True) for name in _CHECKS}


@router.get(
    "/healthz",
    summary="Check that the process runs",
    responses={**success(HTTPStatus.OK, "The process answers.", Alive(status="ok")), **problem_responses()},
)
async def healthz() -> Alive:
    """Answer that the process runs. Its dependencies are not checked."""
    return Alive(status="ok")


@router.get(
    "/readyz",
    summary="Check that the dependencies answer",
    response_model=Ready,
    responses={
        **success(HTTPStatus.OK, "Every dependency answers.", Ready(status="ready", dependencies=_ALL_OK)),
        **problem_responses(NotReady(names="queue, index")),
    },
)
async def readyz(request: Request) -> Response | Ready:
    """Check each dependency and report it by name. The embedder is only loaded, not called: a call may cost money."""
    states = await check_all(request.app.state.services, _CHECK_SECONDS)
    failed = [name for name, state in states.items() if not state.ok]
    if not failed:
        return Ready(status="ready", dependencies=states)
    error = NotReady(names=", ".join(failed))
    problem = problem_of(error).model_copy(update={"dependencies": states})
    return problem_response(problem, request.state.request_id, headers_of(error))


async def check_all(services: Callable[[], Services], seconds: float) -> dict[str, Dependency]:
    """Check all dependencies at the same time. One that has not answered after `seconds` counts as failed."""
    states: dict[str, Dependency] = {}
    async with anyio.create_task_group() as checks:
        for name, check in _CHECKS.items():
            checks.start_soon(_check, states, name, lambda check=check: check(services()), seconds)
    return {name: states[name] for name in _CHECKS}


async def _check(states: dict[str, Dependency], name: str, check: Callable[[], object], seconds: float) -> None:
    states[name] = Dependency(ok=False, code=Transient.code, problem=f"No answer within {seconds:g} seconds.")
    with anyio.move_on_after(seconds):
        try:
            await to_thread.run_sync(check, abandon_on_cancel=True)
        except PenstockError as error:
            problem = problem_of(error)
            states[name] = Dependency(ok=False, code=problem.code, problem=problem.detail)
        else:
            states[name] = Dependency(ok=True)
