"""The API, served by uvicorn."""

from __future__ import annotations

import logging
from collections.abc import Callable

import uvicorn

from penstock.api.app import create_app
from penstock.services import Services
from penstock.settings import Settings

_BACKLOG = 512
_KEEP_ALIVE_SECONDS = 30
_SHUTDOWN_SECONDS = 10


def run_api(settings: Settings, services_factory: Callable[[], Services], host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM. Open requests then have ten seconds to finish."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(services_factory, settings),
            host=host,
            port=port,
            log_config=None,
            access_log=False,
            backlog=_BACKLOG,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
        )
    )
    server.run()
