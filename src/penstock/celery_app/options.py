"""The options of a worker: how it talks to SQS and how it stops."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """The times of a worker, in seconds."""

    wait: int = 20
    """How long one receive request waits for a message. SQS allows 0 to 20. On an emulator, where the abandoned request
    of a stopped worker still takes messages, 1 is right."""
    answer_timeout: float = 10
    """The time limit of a request, beyond `wait`."""
    pause: float = 1
    """The pause after a failed receive request, before the next one to the same queue."""
    stop: float = 25
    """How long the worker may take to end after SIGTERM. It must be less than the supervisor allows, which is 30 on
    ECS, and not less than `wait`, since the worker waits for the answers to its receive requests."""
