"""The provider's budget as one process keeps it, where there is nothing to share."""

from __future__ import annotations

import threading
from dataclasses import replace

from penstock.domain.errors import Conflict
from penstock.domain.provider_budget import ProviderBudget


class LocalBudgetTable:
    """The pace as this process alone knows it: where there is no budget to share, it costs no request."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, ProviderBudget] = {}

    def read(self, model: str) -> ProviderBudget | None:
        return self._known.get(model)

    def write(self, model: str, before: ProviderBudget | None, after: ProviderBudget) -> ProviderBudget:
        with self._lock:
            held = self._known.get(model)
            if (held and held.revision) != (before and before.revision):
                raise Conflict
            stored = replace(after, revision=before.revision + 1 if before else 1)
            self._known[model] = stored
            return stored
