"""The FastAPI application, put together. Nothing connects before the first request (I9)."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi_offline import FastAPIOffline

from penstock.api import routers
from penstock.api.access_log import AccessLog
from penstock.api.admission import AdmissionControl
from penstock.api.auth import KeyCache
from penstock.api.dependencies import LazyServices
from penstock.api.problems import Problem, install_error_handlers
from penstock.api.public_url import PublicUrlMiddleware
from penstock.services import Services
from penstock.settings import Settings

VERSION = "1"
MAX_OPEN_REQUESTS = 200
"""The maximum number of requests that one process handles at the same time."""

_DESCRIPTION = """
Documents in, findable and cited by page.

Send `Authorization: Bearer KEY` with every request. A key belongs to one tenant; a document of another tenant is a 404.
Every error is `application/problem+json` with a stable `code`. After a 503, wait `Retry-After` seconds and try again.
Every answer carries an `X-Request-Id`, under which the server's log has the request.

A *generation* is one version of the bytes of a document. A *chunk* is a piece of its text that is indexed and found as
one. A *receipt* counts what went into a document and what came out. A *tenant* is a customer whose documents nobody
else can see.
"""
_TAGS = [
    {"name": "documents", "description": "Add, list, inspect, download and delete documents."},
    {"name": "tasks", "description": "Follow the work on a document that a request started."},
    {"name": "search", "description": "Find text, with the page to cite."},
    {"name": "health", "description": "Check that the API runs, that its dependencies answer, and that workers do."},
]


def create_app(services_factory: Callable[[], Services], settings: Settings) -> FastAPI:
    """The API over the services that the factory makes. The factory is called by the first request that needs them."""
    app = FastAPIOffline(
        title="Penstock",
        version=VERSION,
        description=_DESCRIPTION,
        openapi_tags=_TAGS,
        redoc_url=None,
        static_url="/docs/assets",
        redirect_slashes=False,
    )
    app.state.services = LazyServices(services_factory)
    app.state.settings = settings
    app.state.keys = KeyCache()
    if settings.public_url:
        app.add_middleware(PublicUrlMiddleware, url=settings.public_url)
    app.add_middleware(AdmissionControl, max_open=MAX_OPEN_REQUESTS)
    app.add_middleware(AccessLog)  # the outermost: it sees every answer
    install_error_handlers(app)
    for module in iter_modules(routers.__path__):
        app.include_router(import_module(f"{routers.__name__}.{module.name}").router)
    app.openapi = lambda: app.openapi_schema or _openapi(app)  # type: ignore[method-assign]  # FastAPI's documented way
    return app


def _openapi(app: FastAPI) -> dict[str, Any]:
    """FastAPI's OpenAPI document with two changes. The schema of problems is added, because no route declares it as its
    response model; FastAPI's own form of a 422 is removed, because this API never sends it."""
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, tags=app.openapi_tags, routes=app.routes
    )
    for path in document["paths"].values():
        for operation in path.values():
            if "application/json" in operation["responses"].get("422", {}).get("content", {}):
                del operation["responses"]["422"]
    schemas = document["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= {**problem.pop("$defs"), "Problem": problem}
    app.openapi_schema = document
    return document
