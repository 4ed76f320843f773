"""Models of GET /healthz and GET /readyz."""

from __future__ import annotations

from pydantic import BaseModel, Field

from penstock.api.problems import Dependency


class Alive(BaseModel):
    """The process answers."""

    status: str


class Ready(BaseModel):
    """Every service that the API depends on answers."""

    status: str
    dependencies: dict[str, Dependency] = Field(description="The state of each dependency, by its name.")
