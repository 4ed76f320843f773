"""Dependencies of every route: the services, which connect at the first request that needs them, and the settings."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Request

from penstock.services import Services
from penstock.settings import Settings


class LazyServices:
    """The services, made once, at the first call. If that fails, the next call tries again: the cause may be repaired
    by then."""

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
    lazy: LazyServices = request.app.state.services
    return lazy()


def settings(request: Request) -> Settings:
    configured: Settings = request.app.state.settings
    return configured


ServicesDep = Annotated[Services, Depends(services)]
SettingsDep = Annotated[Settings, Depends(settings)]
