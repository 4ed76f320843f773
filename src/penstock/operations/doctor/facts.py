"""Doctor's facts: what table, bucket and index hold of each document of a tenant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, groupby, islice, takewhile

import orjson

from penstock.documents.remove import originals
from penstock.domain.chunk import Count
from penstock.domain.document import Document, milliseconds, moment
from penstock.domain.ids import BuildId, DocumentId, TenantId, derived_id
from penstock.domain.status import Status
from penstock.operations.external_sort import sorted_on_disk
from penstock.ports import Listed
from penstock.records.work_files import FOLDERS
from penstock.services import Services

_PAGE = 1000
"""The number of documents that are listed at once."""
_MOST = 1000
"""The maximum number of facts of one document that are held. A check that misses an object among them looks for it in
the bucket."""


@dataclass(slots=True)
class Facts:
    """What bucket and index hold of a document."""

    id: DocumentId
    objects: list[Listed] = field(default_factory=list)
    builds: list[tuple[BuildId, Count]] = field(default_factory=list)

    def files(self, folder: str) -> list[Listed]:
        """The objects in this folder of the bucket."""
        return [each for each in self.objects if each.key.startswith(f"{folder}/")]


@contextmanager
def gathered_facts(services: Services, tenant: TenantId, *, run: int) -> Iterator[Iterator[Facts]]:
    """The facts of every document of the tenant, each from one listing of table, bucket and index.

    Args:
        run: the number of lines that are held in memory while they are sorted.
    """
    with sorted_on_disk(_lines(services, tenant), run=run) as lines:
        yield _by_document(lines)


def _lines(services: Services, tenant: TenantId) -> Iterator[str]:
    """A line for each fact. It starts with the document's id, so that sorting brings a document's facts together."""
    for folder in ("files", "drop", *FOLDERS):
        for each in services.objects.listed(tenant, f"{folder}/{tenant}/"):
            document_id = derived_id(tenant, each.key) if folder == "drop" else each.key.split("/")[2]
            stored_object = (each.key, each.version, each.etag, milliseconds(each.stored), each.latest, each.marker)
            yield f"{document_id}\t{orjson.dumps(stored_object).decode()}"
    for document, build_id, count in services.index.builds(tenant):
        indexed_build = (build_id.generation, build_id.build, count.chunks, count.vectors)
        yield f"{document}\t{orjson.dumps(indexed_build).decode()}"
    before = None
    while cursors := services.documents.newest(tenant, _PAGE, before):
        yield from (f"{document}\t[]" for _, document in cursors)
        before = cursors[-1]


def _by_document(lines: Iterable[str]) -> Iterator[Facts]:
    for document, of_document in groupby(lines, key=lambda line: line.partition("\t")[0]):
        facts = Facts(DocumentId(document))
        for line in islice(of_document, _MOST):
            match orjson.loads(line.partition("\t")[2]):
                case [str(key), version, etag, stored, latest, marker]:
                    facts.objects.append(Listed(key, version, 0, etag, moment(stored), latest, marker))
                case [generation, build, chunks, vectors]:
                    facts.builds.append((BuildId(generation, build), Count(chunks, vectors)))
        yield facts


def current_facts(services: Services, tenant: TenantId, facts: Facts, record: Document | None) -> Facts:
    """The facts of the same document as they are now."""
    keys = {each.key for each in (*facts.files("files"), *facts.files("drop"))}
    if record is not None and record.status is not Status.DELETED:
        keys |= {original.key for original in originals(record)}
    files = chain.from_iterable(versions_of_key(services, tenant, key) for key in sorted(keys))
    prefixes = (f"{folder}/{tenant}/{facts.id}/" for folder in FOLDERS)
    work_files = chain.from_iterable(services.objects.listed(tenant, prefix) for prefix in prefixes)
    builds = ((build_id, count) for _, build_id, count in services.index.builds(tenant, facts.id))
    return Facts(facts.id, list(islice(chain(files, work_files), _MOST)), list(islice(builds, _MOST)))


def versions_of_key(services: Services, tenant: TenantId, key: str) -> Iterator[Listed]:
    """The versions of exactly this key. It is listed before the longer keys that begin with it."""
    return takewhile(lambda each: each.key == key, services.objects.listed(tenant, key))
