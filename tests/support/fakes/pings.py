"""Answers to pings in memory."""

from __future__ import annotations

from penstock.domain.ids import TenantId


class FakePingTable:
    def __init__(self) -> None:
        self._answered: set[tuple[TenantId, str]] = set()

    def answer(self, tenant: TenantId, ping: str) -> None:
        self._answered.add((tenant, ping))

    def answered(self, tenant: TenantId, ping: str) -> bool:
        return (tenant, ping) in self._answered
