"""Work files: the shards that wait in the bucket for their embedding, so that no message carries text (I1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from io import BytesIO
from typing import Any

import orjson

from penstock.domain.build import Build
from penstock.domain.chunk import Chunk
from penstock.domain.document import Document
from penstock.domain.ids import BuildId, TenantId
from penstock.domain.task import Message, Stage
from penstock.services import Services

FOLDERS = ("work", "receipts")
"""The folders of the bucket that an attempt writes to. A shard is stored at
`work/{tenant}/{document}/{generation}/{build}/{shard}.json`, and the long lists of a receipt are stored at
`receipts/{tenant}/{document}/{generation}/{build}.json`."""
_SLASHES_OF_A_RECEIPT = 4


def shard_folder(record: Document) -> str:
    """The folder of the shards of the newest build."""
    return f"work/{record.tenant}/{record.id}/{record.generation}/{record.build}/"


def attempts_in(services: Services, record: Document, folder: str) -> Iterator[tuple[BuildId, str]]:
    """The builds of this document that have files in this folder, each with the location of its files."""
    last = ""
    for each in services.objects.listed(record.tenant, f"{folder}/{record.tenant}/{record.id}/"):
        build_id = build_id_of_key(each.key)
        location = location_of_key(each.key)
        if build_id is not None and location != last:
            yield build_id, location
        last = location


def location_of_key(key: str) -> str:
    """The location of all files of a build, by the key of one of them: its folder, or the key of a receipt."""
    return key if key.count("/") == _SLASHES_OF_A_RECEIPT else key.rpartition("/")[0] + "/"


def discard(services: Services, tenant: TenantId, location: str) -> None:
    """Remove the files at this location."""
    if location.endswith("/"):
        services.objects.remove_all(tenant, location)
    else:
        services.objects.remove(tenant, location)


def build_id_of_key(key: str) -> BuildId | None:
    """The build that a file belongs to. None where the key is not one of an attempt's."""
    _, _, _, generation, build = (key.split("/") + [""] * 2)[:5]
    number = build.removesuffix(".json")
    return BuildId(int(generation), int(number)) if generation.isdecimal() and number.isdecimal() else None


def save_shard(services: Services, record: Document, shard: int, chunks: Sequence[Chunk], *, paged: bool) -> None:
    """Save a shard under a key that derives from identity (I3): saved twice, it is the same object."""
    body = orjson.dumps({"paged": paged, "chunks": [asdict(chunk) for chunk in chunks]})
    services.objects.put(record.tenant, _key(record, shard), BytesIO(body), content_type="application/json")


def load_shard(services: Services, record: Document, shard: int) -> tuple[list[Chunk], bool]:
    """The chunks of a shard, and whether their format has pages.

    Raises:
        OriginalMissing: the shard was removed, because its build is published or was given up.
        Transient: the bucket did not answer.
    """
    with services.objects.get(record.tenant, _key(record, shard)) as blocks:
        body = orjson.loads(b"".join(blocks))
    return [_chunk(**fields) for fields in body["chunks"]], body["paged"]


def send_shards(services: Services, record: Document, build: Build) -> None:
    """Send the embed message of every shard that is not done."""
    for shard in build.unfinished:
        services.queue.send(embed_message(record, shard), record.lane)


def embed_message(record: Document, shard: int) -> Message:
    """The message that asks for the embedding of this shard of the newest build."""
    return Message(Stage.EMBED, record.tenant, record.id, record.generation, record.build, shard)


def _chunk(*, section: list[str], breaks: list[tuple[int, int]], **fields: Any) -> Chunk:
    """The chunk of these fields. JSON has no tuples, so lists become tuples again."""
    return Chunk(section=tuple(section), breaks=tuple((offset, page) for offset, page in breaks), **fields)


def _key(record: Document, shard: int) -> str:
    return f"{shard_folder(record)}{shard}.json"
