"""The provider's budget in the memory of one process, for a provider without a budget that processes would share."""

from __future__ import annotations

import threading
from dataclasses import replace

from penstock.domain.errors import Conflict
from penstock.domain.provider_budget import ProviderBudget


class LocalBudgetTable:
    """A ProviderBudgetTable in memory. What it stores is known to this process alone, and costs no request."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._budgets: dict[str, ProviderBudget] = {}

    def read(self, model: str) -> ProviderBudget | None:
        return self._budgets.get(model)

    def write(self, model: str, before: ProviderBudget | None, after: ProviderBudget) -> ProviderBudget:
        with self._lock:
            held = self._budgets.get(model)
            if (held and held.revision) != (before and before.revision):
                raise Conflict
            stored = replace(after, revision=before.revision + 1 if before else 1)
            self._budgets[model] = stored
            return stored
