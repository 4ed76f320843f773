"""The app: an endpoint is a module of api/routers/ and one of api/models/, and needs nothing else."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

import pytest

from penstock.api import models, routers
from tests.support.api_door import Door

ROUTERS = [module.name for module in iter_modules(routers.__path__)]


@pytest.mark.parametrize("name", ROUTERS)
def test_a_module_of_routers_is_part_of_the_api_because_it_is_there(name: str) -> None:
    router = import_module(f"penstock.api.routers.{name}").router
    assert {route.path for route in router.routes} <= Door().app.openapi()["paths"].keys()
    assert name in {module.name for module in iter_modules(models.__path__)}
