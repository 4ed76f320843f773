"""How a worker talks to SQS and how it stops."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """All times are seconds."""

    wait: int = 20
    """How long one receive request waits for a message: SQS allows 0 to 20. Where a stopped worker's abandoned request
    still takes messages, as on emulators, 1 is right."""
    answer: float = 10
    """How long, beyond `wait`, a request may stay without an answer before it is given up."""
    pause: float = 1
    """Before the next receive request to a queue whose last one failed."""
    stop: float = 25
    """How long the worker may take to end after SIGTERM. Less than what the supervisor allows, which is 30 on ECS, and
    not less than `wait`, for the answers to its receive requests."""
