"""Given: what every route is handed: the services, connected at the first call that needs them, and the settings."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Request

from penstock.services import Services
from penstock.settings import Settings


class Connected:
    """The services, made once. Where that fails, the next call tries again: what is wrong may be mended meanwhile."""

    def __init__(self, connect: Callable[[], Services]) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._services: Services | None = None

    def __call__(self) -> Services:
        with self._lock:
            if self._services is None:
                self._services = self._connect()
            return self._services


def services(request: Request) -> Services:
    connected: Connected = request.app.state.services
    return connected()


def settings(request: Request) -> Settings:
    configured: Settings = request.app.state.settings
    return configured


Given = Annotated[Services, Depends(services)]
Configured = Annotated[Settings, Depends(settings)]
