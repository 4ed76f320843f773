"""The chunks of one tenant. Every request for chunks passes here: it goes to the shard of the tenant, and finds chunks
of this tenant alone (I10)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import orjson

from penstock.adapters.opensearch.bulk import items_of, send
from penstock.adapters.opensearch.errors import check_complete
from penstock.adapters.opensearch.server import Body, Server
from penstock.domain.chunk import Entry
from penstock.domain.errors import Transient
from penstock.domain.ids import TenantId

CLEARED_AT_ONCE = 10_000
"""The maximum number of chunks that one request removes, so that it ends in time."""
_MOST_IDLE_REQUESTS = 5
"""The number of requests in a row that remove nothing before a clear gives up."""


class Chunks:
    """The chunks of one tenant in one index."""

    def __init__(self, server: Server, index: str, tenant: TenantId) -> None:
        self._server = server
        self._index = index
        self._tenant = tenant

    @property
    def tenant_filter(self) -> Body:
        """The filter that selects the chunks of this tenant, for queries that must filter before they search."""
        return {"term": {"tenant": self._tenant}}

    def put(self, entries: Sequence[Entry]) -> None:
        """Store these entries.

        Raises:
            Refused: the server will never take one of the entries, which is named; the others are stored.
            Transient: as many entries as possible are stored.
        """
        send(self._server, items_of(self._index, self._tenant, entries))

    def refresh(self) -> None:
        """Make what was stored visible, for all tenants: an index cannot refresh less than all."""
        self._server.ask("POST", f"/{self._index}/_refresh")

    def search(self, body: Body, **params: object) -> Body:
        return self._server.ask(
            "POST", f"/{self._index}/_search", self._of_this_tenant(body), routing=self._tenant, **params
        )

    def search_many(self, bodies: Iterable[Body]) -> list[Body]:
        """Make several searches in one request, and return the answer to each."""
        header = orjson.dumps({"index": self._index, "routing": self._tenant})
        lines = [b"%b\n%b\n" % (header, self._dumped(body)) for body in bodies]
        answers = self._server.ask_many("/_msearch", b"".join(lines)) if lines else []
        for answer in answers:
            check_complete(answer)
        return answers

    def clear(self, query: Body) -> int:
        """Remove the chunks that a query finds, refreshed or not, until none is counted any more. Returns their number.

        Raises:
            Transient: others keep writing such chunks.
        """
        self.refresh()
        removed = idle_requests = 0
        while self._count(query):
            answer = self._server.ask(
                "POST",
                f"/{self._index}/_delete_by_query",
                self._of_this_tenant({"query": query, "max_docs": CLEARED_AT_ONCE}),
                routing=self._tenant,
                conflicts="proceed",
                refresh=True,
            )
            removed += answer["deleted"]
            idle_requests = 0 if answer["deleted"] else idle_requests + 1
            if idle_requests == _MOST_IDLE_REQUESTS:
                raise Transient(why=f"chunks that are to be removed are being written: {answer.get('failures')}")
        return removed

    def _count(self, query: Body) -> int:
        answer = self._server.ask(
            "POST", f"/{self._index}/_count", self._of_this_tenant({"query": query}), routing=self._tenant
        )
        return int(answer["count"])

    def _of_this_tenant(self, body: Body) -> Body:
        return {
            **body,
            "query": {"bool": {"filter": [self.tenant_filter], "must": [body.get("query", {"match_all": {}})]}},
        }

    def _dumped(self, body: Body) -> bytes:
        return orjson.dumps(self._of_this_tenant(body), option=orjson.OPT_SERIALIZE_NUMPY)
