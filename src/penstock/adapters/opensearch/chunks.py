"""One tenant's chunks: the only way to them. Whatever is asked goes to the tenant's shard, and is answered of the
tenant's chunks alone (I10)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import orjson

from penstock.adapters.opensearch.bulk import items_of, send
from penstock.adapters.opensearch.server import Body, Server, check_whole
from penstock.domain.chunk import Entry
from penstock.domain.errors import Transient
from penstock.domain.ids import TenantId

CLEARED_AT_ONCE = 10_000
"""Chunks per request, so that each ends in its time."""
_STUCK = 5


class Chunks:
    """The chunks of one tenant in one index."""

    def __init__(self, server: Server, index: str, tenant: TenantId) -> None:
        self._server = server
        self._index = index
        self._tenant = tenant

    @property
    def mine(self) -> Body:
        """The filter, for queries that have to narrow what they look at before they look."""
        return {"term": {"tenant": self._tenant}}

    def put(self, entries: Sequence[Entry]) -> None:
        """
        Raises:
            Refused: the server will never take one of them, which is named; the others are stored.
            Transient: as many as possible are stored.
        """
        send(self._server, items_of(self._index, self._tenant, entries))

    def refresh(self) -> None:
        """Of all tenants: an index knows no less."""
        self._server.ask("POST", f"/{self._index}/_refresh")

    def search(self, body: Body, **params: object) -> Body:
        return self._server.ask("POST", f"/{self._index}/_search", self._limited(body), routing=self._tenant, **params)

    def search_many(self, bodies: Iterable[Body]) -> list[Body]:
        """Several searches in one request; the answer to each."""
        header = orjson.dumps({"index": self._index, "routing": self._tenant})
        lines = [b"%b\n%b\n" % (header, self._dumped(body)) for body in bodies]
        answers = self._server.ask_many("/_msearch", b"".join(lines)) if lines else []
        for answer in answers:
            check_whole(answer)
        return answers

    def clear(self, query: Body) -> int:
        """Remove what a query finds, refreshed or not; how many there were. Done when none is counted any more.

        Raises:
            Transient: others keep writing what is to be removed.
        """
        self.refresh()
        removed = stuck = 0
        while self._count(query):
            answer = self._server.ask(
                "POST",
                f"/{self._index}/_delete_by_query",
                self._limited({"query": query, "max_docs": CLEARED_AT_ONCE}),
                routing=self._tenant,
                conflicts="proceed",
                refresh=True,
            )
            removed += answer["deleted"]
            stuck = 0 if answer["deleted"] else stuck + 1
            if stuck == _STUCK:
                raise Transient(why=f"chunks that are to be removed are being written: {answer.get('failures')}")
        return removed

    def _count(self, query: Body) -> int:
        answer = self._server.ask(
            "POST", f"/{self._index}/_count", self._limited({"query": query}), routing=self._tenant
        )
        return int(answer["count"])

    def _limited(self, body: Body) -> Body:
        return {**body, "query": {"bool": {"filter": [self.mine], "must": [body.get("query", {"match_all": {}})]}}}

    def _dumped(self, body: Body) -> bytes:
        return orjson.dumps(self._limited(body), option=orjson.OPT_SERIALIZE_NUMPY)
