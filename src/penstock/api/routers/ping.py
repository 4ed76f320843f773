"""Ping: whether a worker takes tasks from its queue and answers."""

from __future__ import annotations

import time
import uuid
from http import HTTPStatus
from typing import Annotated

import anyio
from anyio import to_thread
from fastapi import APIRouter, Query

from penstock.api.auth import CallerTenant
from penstock.api.dependencies import ServicesDep
from penstock.api.models.ping import Pong
from penstock.api.openapi import merge_responses, responses, validation_error
from penstock.domain.errors import NoWorkerAnswered
from penstock.domain.task import Lane

router = APIRouter(prefix="/v1", tags=["health"])

_MAX_SECONDS = 10.0
_POLL_SECONDS = 0.05


@router.post(
    "/health/task",
    summary="Check that a worker answers",
    responses=merge_responses(
        responses(
            HTTPStatus.OK,
            "A worker answered.",
            Pong(lane=Lane.STANDARD, milliseconds=38.5),
            NoWorkerAnswered(lane=Lane.STANDARD, seconds=_MAX_SECONDS),
        ),
        validation_error("query.lane", "Input should be 'express', 'standard' or 'bulk'", "enum"),
    ),
)
async def ping_worker(
    tenant: CallerTenant,
    services: ServicesDep,
    lane: Annotated[Lane, Query(description="The lane whose workers are asked.", examples=["standard"])] = (
        Lane.STANDARD
    ),
    seconds: Annotated[
        float, Query(gt=0, le=_MAX_SECONDS, description="The maximum time to wait, in seconds.", examples=[10])
    ] = _MAX_SECONDS,
) -> Pong:
    """Send a no-op task through the queue, and wait until a worker has answered it."""
    ping, started = uuid.uuid4().hex, time.perf_counter()
    await to_thread.run_sync(services.queue.ping, tenant, ping, lane)
    while not await to_thread.run_sync(services.pings.answered, tenant, ping):
        if time.perf_counter() - started > seconds:
            raise NoWorkerAnswered(lane=lane, seconds=seconds)
        await anyio.sleep(_POLL_SECONDS)
    return Pong(lane=lane, milliseconds=round((time.perf_counter() - started) * 1000, 1))
