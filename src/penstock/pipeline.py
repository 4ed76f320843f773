"""Run one message: claim, do the stage's work, and say what shall become of the message."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta

from penstock.claim import Claim
from penstock.ports import Services
from penstock.task import Message


@dataclass(frozen=True, slots=True)
class Done:
    """Delete the message."""


@dataclass(frozen=True, slots=True)
class HandBack:
    """Make the message visible again after `delay`: the queue alone redelivers (I4)."""

    delay: timedelta
    why: str


Outcome = Done | HandBack

Keep = Callable[[Services, Claim], AbstractContextManager[None]]
"""Renews the claim's lease while the work runs."""


def run(services: Services, message: Message, keep: Keep) -> Outcome:
    raise NotImplementedError
