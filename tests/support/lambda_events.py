"""The arguments of a Lambda handler: sample events from events/, and the context of an invocation."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tests.support.paths import EVENTS


def sample(name: str) -> dict[str, Any]:
    """A new copy of the sample event of this name."""
    return json.loads((EVENTS / f"{name}.json").read_text())


@dataclass
class Invocation:
    """The context of an invocation. Its remaining time is always `seconds`."""

    seconds: float = 900
    aws_request_id: str = "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"

    def get_remaining_time_in_millis(self) -> int:
        return int(self.seconds * 1000)
