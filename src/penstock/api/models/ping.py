"""The model of POST /v1/health/task."""

from __future__ import annotations

from pydantic import BaseModel, Field

from penstock.domain.task import Lane


class Pong(BaseModel):
    """A no-op task went through the queue to a worker and back."""

    lane: Lane = Field(description="The lane whose workers were asked.")
    milliseconds: float = Field(description="The time until the answer came, in milliseconds.")
