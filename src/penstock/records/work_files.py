"""Shards: chunks that wait in the bucket for their embedding, so that no message carries text (I1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from io import BytesIO
from typing import Any

import orjson

from penstock.domain.build import Build
from penstock.domain.chunk import Chunk
from penstock.domain.document import BuildId, Document
from penstock.domain.ids import TenantId
from penstock.domain.task import Message, Stage
from penstock.services import Services

_KEY = 4  # slashes in the key of a receipt; a work file lies in a folder of its build


def shard_folder(record: Document) -> str:
    """Where the shards of the newest build wait."""
    return f"work/{record.tenant}/{record.id}/{record.generation}/{record.build}/"


FOLDERS = ("work", "receipts")
"""What an attempt writes into the bucket: `{room}/{tenant}/{document}/{generation}/{build}…`."""


def attempts_in(services: Services, record: Document, room: str) -> Iterator[tuple[BuildId, str]]:
    """Whose files there are of this document, and where: a folder, or a key."""
    last = ""
    for each in services.objects.listed(record.tenant, f"{room}/{record.tenant}/{record.id}/"):
        build_id = build_id_of_key(each.key)
        place = location_of_key(each.key)
        if build_id is not None and place != last:
            yield build_id, place
        last = place


def location_of_key(key: str) -> str:
    """What goes together with this file: the folder of its build; a receipt is alone."""
    return key if key.count("/") == _KEY else key.rpartition("/")[0] + "/"


def discard(services: Services, tenant: TenantId, place: str) -> None:
    """Remove a folder, or a key."""
    if place.endswith("/"):
        services.objects.remove_all(tenant, place)
    else:
        services.objects.remove(tenant, place)


def build_id_of_key(key: str) -> BuildId | None:
    """Whose file this is; None where it is in none of the rooms."""
    _, _, _, generation, build = (key.split("/") + [""] * 2)[:5]
    number = build.removesuffix(".json")
    return BuildId(int(generation), int(number)) if generation.isdecimal() and number.isdecimal() else None


def save_shard(services: Services, record: Document, shard: int, chunks: Sequence[Chunk], *, paged: bool) -> None:
    """Under a key that derives from identity (I3): saved twice, it is the same object."""
    body = orjson.dumps({"paged": paged, "chunks": [asdict(chunk) for chunk in chunks]})
    services.objects.put(record.tenant, _key(record, shard), BytesIO(body), content_type="application/json")


def load_shard(services: Services, record: Document, shard: int) -> tuple[list[Chunk], bool]:
    """The chunks, and whether their format has pages.

    Raises:
        OriginalMissing: it was removed: the build is published, or given up.
        Transient: the bucket did not answer.
    """
    with services.objects.get(record.tenant, _key(record, shard)) as blocks:
        body = orjson.loads(b"".join(blocks))
    return [_chunk(**fields) for fields in body["chunks"]], body["paged"]


def send_shards(services: Services, record: Document, build: Build) -> None:
    """Ask for the embedding of every shard that is not done."""
    for shard in build.unfinished:
        services.queue.send(embed_message(record, shard), record.lane)


def embed_message(record: Document, shard: int) -> Message:
    """The message that asks for the embedding of this shard of the newest build."""
    return Message(Stage.EMBED, record.tenant, record.id, record.generation, record.build, shard)


def _chunk(*, section: list[str], breaks: list[tuple[int, int]], **fields: Any) -> Chunk:
    """JSON has no tuples."""
    return Chunk(section=tuple(section), breaks=tuple((offset, page) for offset, page in breaks), **fields)


def _key(record: Document, shard: int) -> str:
    return f"{shard_folder(record)}{shard}.json"
