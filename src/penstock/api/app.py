"""App: the FastAPI application, put together. Nothing connects before the first request (I9)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi_offline import FastAPIOffline

from penstock.api import add_documents as adding
from penstock.api import documents, health, search, tasks, uploads
from penstock.api.access_log import AccessLog
from penstock.api.admission import Room
from penstock.api.auth import KeyRing
from penstock.api.dependencies import Connected
from penstock.api.problems import Problem, answer_errors
from penstock.api.public_url import PublicAddress
from penstock.services import Services
from penstock.settings import Settings

VERSION = "1"
MOST_OPEN = 200
"""Requests at once, in one process."""

_DESCRIPTION = """
Documents in, findable and cited by page.

Send `Authorization: Bearer KEY`; a key belongs to one tenant, and another tenant's document is a 404.
Every error is `application/problem+json` with a stable `code`; on a 503, come again after `Retry-After` seconds.
Every answer carries `X-Request-Id`, which the log has too.
"""
_TAGS = [
    {"name": "documents", "description": "Add, list, look at, fetch and delete documents."},
    {"name": "tasks", "description": "How what was asked for stands."},
    {"name": "search", "description": "Find text, with the page to cite."},
    {"name": "health", "description": "Whether it lives, is ready, and has workers."},
]


def create_app(services_factory: Callable[[], Services], settings: Settings) -> FastAPI:
    """The API over these services, which are made at the first call that needs them."""
    app = FastAPIOffline(
        title="Penstock",
        version=VERSION,
        description=_DESCRIPTION,
        openapi_tags=_TAGS,
        redoc_url=None,
        static_url="/docs/assets",
        redirect_slashes=False,
    )
    app.state.services = Connected(services_factory)
    app.state.settings = settings
    app.state.keys = KeyRing()
    if settings.public_url:
        app.add_middleware(PublicAddress, url=settings.public_url)
    app.add_middleware(Room, most=MOST_OPEN)
    app.add_middleware(AccessLog)  # the outermost: it sees every answer
    answer_errors(app)
    app.include_router(health.alive)
    for part in (adding, uploads, documents, tasks, search, health):
        app.include_router(part.router, prefix="/v1")
    app.openapi = lambda: app.openapi_schema or _described(app)  # type: ignore[method-assign]  # FastAPI's documented way
    return app


def _described(app: FastAPI) -> dict[str, Any]:
    """FastAPI's description, with the schema of problems, which no route returns as its model, and without its own
    form of a 422, which is never sent here."""
    told = get_openapi(
        title=app.title, version=app.version, description=app.description, tags=app.openapi_tags, routes=app.routes
    )
    for path in told["paths"].values():
        for operation in path.values():
            if "application/json" in operation["responses"].get("422", {}).get("content", {}):
                del operation["responses"]["422"]
    for name in ("HTTPValidationError", "ValidationError"):
        told["components"]["schemas"].pop(name, None)
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    told["components"]["schemas"] |= {**problem.pop("$defs"), "Problem": problem}
    app.openapi_schema = told
    return told
