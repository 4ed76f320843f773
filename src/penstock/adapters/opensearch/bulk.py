"""Bulk: many chunks in one request, sized by bytes, and each one's own outcome honoured."""

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
"""Of one request: half of what the smallest managed instances take."""
LEAST_BYTES = 200_000
TRIES = 6
"""In a row of which none got anything in; each waits twice as long as the one before."""
FIRST_WAIT = 0.25
_DONE = 300

Sleep = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Item:
    """One chunk on its way."""

    name: str
    lines: bytes


def items_of(index: str, tenant: TenantId, entries: Sequence[Entry]) -> Iterator[Item]:
    """Ids derive from identity (I3), the tenant first (I10): what is sent again overwrites itself."""
    for entry in entries:
        yield item_of(index, tenant, entry.id, stored(tenant, entry))


def item_of(index: str, tenant: TenantId, name: str, kept: Body) -> Item:
    """
    Args:
        kept: what the index keeps of the chunk.
    """
    action = {"index": {"_index": index, "_id": f"{tenant}:{name}", "routing": tenant}}
    return Item(name, b"%b\n%b\n" % (orjson.dumps(action), orjson.dumps(kept, option=orjson.OPT_SERIALIZE_NUMPY)))


def send(server: Server, items: Iterator[Item], sleep: Sleep = time.sleep) -> None:
    """Each item, more slowly where the server has too much to do.

    Raises:
        Refused: the server will never take one of them, which is named; the others were sent.
        Transient: as many as possible were sent.
    """
    most, tries = MOST_BYTES, 0
    waiting: deque[Item] = deque()
    failure: Refused | None = None
    while batch := _taken(waiting, items, most):
        try:
            again, refused = _sent(server, batch)
        except (Overloaded, TooLargeAtOnce) as error:
            if isinstance(error, TooLargeAtOnce) and len(batch) == 1:
                raise Refused(service="OpenSearch", why=f"chunk {batch[0].name} is too large for it") from error
            again, refused = batch, None
        failure = failure or refused
        if not again:
            tries = 0
            continue
        tries = tries + 1 if len(again) == len(batch) else 1
        if tries == TRIES:
            raise Overloaded(why=f"it put off {len(again)} chunks {TRIES} times in a row")
        waiting.extendleft(reversed(again))
        most = max(LEAST_BYTES, most // 2)
        sleep(FIRST_WAIT * 2 ** (tries - 1))
    if failure is not None:
        raise failure


def _taken(waiting: deque[Item], items: Iterator[Item], most: int) -> list[Item]:
    """At least one, while there are any."""
    batch: list[Item] = []
    room = most
    while room > 0 and (item := waiting.popleft() if waiting else next(items, None)) is not None:
        batch.append(item)
        room -= len(item.lines)
    return batch


def _sent(server: Server, batch: Sequence[Item]) -> tuple[list[Item], Refused | None]:
    """Those that the server put off, and what it said of the first that it will never take."""
    answers = server.ask_many("/_bulk", b"".join(each.lines for each in batch))
    again: list[Item] = []
    refused: Refused | None = None
    for item, answer in zip(batch, answers, strict=True):
        outcome = answer["index"]
        if outcome["status"] < _DONE:
            continue
        error = error_of(outcome["status"], outcome.get("error"), outcome.get("_index", ""))
        if isinstance(error, Overloaded):
            again.append(item)
        elif isinstance(error, Permanent):
            refused = refused or Refused(service="OpenSearch", why=f"chunk {item.name}: {error}")
        else:
            raise error
    return again, refused
