"""Bulk writes: many chunks in one request of bounded size, with a check of the outcome of each chunk."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import orjson

from penstock.adapters.opensearch.errors import Overloaded, TooLargeAtOnce, error_of
from penstock.adapters.opensearch.mapping import stored
from penstock.adapters.opensearch.server import Body, Server
from penstock.domain.chunk import Entry
from penstock.domain.errors import Permanent, Refused
from penstock.domain.ids import TenantId

MOST_BYTES = 5_000_000
"""The size that a request has at first, in bytes. It is half of what the smallest managed instances take."""
LEAST_BYTES = 200_000
"""The size down to which requests are halved while the server is overloaded, in bytes."""
TRIES = 6
"""The number of requests in a row that store nothing before this gives up. Each wait is twice as long as the one
before."""
FIRST_WAIT = 0.25
"""The wait after the first of these requests, in seconds."""
_FIRST_FAILURE = 300

Sleep = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Item:
    """One chunk to be stored."""

    name: str
    """The chunk's id, for error messages."""
    lines: bytes
    """The two lines of a bulk request that store it."""


def items_of(index: str, tenant: TenantId, entries: Sequence[Entry]) -> Iterator[Item]:
    """The items of these entries. Their ids derive from identity (I3) and begin with the tenant (I10), so that an entry
    that is sent again overwrites itself."""
    for entry in entries:
        yield item_of(index, tenant, entry.id, stored(tenant, entry))


def item_of(index: str, tenant: TenantId, name: str, fields: Body) -> Item:
    """The item that stores these fields of one chunk."""
    action = {"index": {"_index": index, "_id": f"{tenant}:{name}", "routing": tenant}}
    return Item(name, b"%b\n%b\n" % (orjson.dumps(action), orjson.dumps(fields, option=orjson.OPT_SERIALIZE_NUMPY)))


def send(server: Server, items: Iterator[Item], sleep: Sleep = time.sleep) -> None:
    """Store each item, in smaller and slower requests while the server is overloaded.

    Raises:
        Refused: the server will never take one of the items, which is named; the others were stored.
        Transient: as many items as possible were stored.
    """
    max_bytes, tries = MOST_BYTES, 0
    deferred: deque[Item] = deque()
    failure: Refused | None = None
    while batch := _next_batch(deferred, items, max_bytes):
        try:
            put_off, refused = _send_batch(server, batch)
        except (Overloaded, TooLargeAtOnce) as error:
            if isinstance(error, TooLargeAtOnce) and len(batch) == 1:
                raise Refused(service="OpenSearch", why=f"chunk {batch[0].name} is too large for it") from error
            put_off, refused = batch, None
        failure = failure or refused
        if not put_off:
            tries = 0
            continue
        tries = tries + 1 if len(put_off) == len(batch) else 1
        if tries == TRIES:
            raise Overloaded(why=f"it put off {len(put_off)} chunks {TRIES} times in a row")
        deferred.extendleft(reversed(put_off))
        max_bytes = max(LEAST_BYTES, max_bytes // 2)
        sleep(FIRST_WAIT * 2 ** (tries - 1))
    if failure is not None:
        raise failure


def _next_batch(deferred: deque[Item], items: Iterator[Item], max_bytes: int) -> list[Item]:
    """The items of the next request, those that were put off first. At least one item, if any is left."""
    batch: list[Item] = []
    bytes_left = max_bytes
    while bytes_left > 0 and (item := deferred.popleft() if deferred else next(items, None)) is not None:
        batch.append(item)
        bytes_left -= len(item.lines)
    return batch


def _send_batch(server: Server, batch: Sequence[Item]) -> tuple[list[Item], Refused | None]:
    """Send one request. Returns the items that the overloaded server put off, and the error of the first item that it
    will never take."""
    answers = server.ask_many("/_bulk", b"".join(each.lines for each in batch))
    put_off: list[Item] = []
    refused: Refused | None = None
    for item, answer in zip(batch, answers, strict=True):
        outcome = answer["index"]
        if outcome["status"] < _FIRST_FAILURE:
            continue
        error = error_of(outcome["status"], outcome.get("error"), outcome.get("_index", ""))
        if isinstance(error, Overloaded):
            put_off.append(item)
        elif isinstance(error, Permanent):
            refused = refused or Refused(service="OpenSearch", why=f"chunk {item.name}: {error}")
        else:
            raise error
    return put_off, refused
