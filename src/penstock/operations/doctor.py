"""Doctor: compare what table, bucket and index hold of each document of a tenant, and repair the differences.

Each of the three is listed once, and the lists are joined by an external sort, so that memory does not grow with their
length. The lists are of three different moments, and the tenant's documents change meanwhile: so a document that looks
wrong is looked at again, as it is now, before it is reported. Repairs use only the functions that everybody else uses,
and each of these reads the record once more (I2).

`doctor_facts.py` gathers the facts; `doctor_checks.py` says what is wrong with them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

from penstock.domain.document import Document
from penstock.domain.ids import DocumentId, TenantId, is_tenant_id
from penstock.domain.status import Status
from penstock.operations.doctor_checks import Case, Finding, findings_of, unheard_uploads
from penstock.operations.doctor_facts import Facts, current_facts, gathered_facts
from penstock.operations.external_sort import RUN
from penstock.services import Services

_BATCH = 100
"""The number of records that are read at once."""
_LOOKS = 3
"""The maximum number of looks at a document that changes while it is looked at."""


def all_tenants(services: Services) -> list[TenantId]:
    """The tenants that have documents or objects.

    Raises:
        Transient: a service did not answer.
    """
    named = services.objects.tenants()
    return sorted(services.documents.tenants() | {TenantId(name) for name in named if is_tenant_id(name)})


def examine(services: Services, tenant: TenantId, *, run: int = RUN) -> Iterator[Finding]:
    """What is wrong with the documents of this tenant, document by document.

    Args:
        run: the number of lines that are held in memory while they are sorted.

    Raises:
        Transient: a service did not answer.
    """
    services.index.refresh(tenant)
    with gathered_facts(services, tenant, run=run) as all_facts:
        while batch := list(islice(all_facts, _BATCH)):
            records = services.documents.read_many(tenant, [facts.id for facts in batch])
            archives = {record.container for record in records.values() if record.container} - records.keys()
            records = {**records, **services.documents.read_many(tenant, sorted(archives))}
            for facts in batch:
                if findings_of(_case(services, tenant, facts, records)):
                    yield from _looked_at_again(services, tenant, facts)
    yield from unheard_uploads(services, tenant)


def _looked_at_again(services: Services, tenant: TenantId, facts: Facts) -> list[Finding]:
    """The findings on the same document as it is now. A document that changes during each look has none: it is being
    worked on."""
    for _ in range(_LOOKS):
        before = services.documents.read(tenant, facts.id)
        current = current_facts(services, tenant, facts, before)
        after = services.documents.read(tenant, facts.id)
        if after == before:
            records = {} if after is None else {after.id: after}
            if after is not None and after.container is not None:
                records |= services.documents.read_many(tenant, [after.container])
            return findings_of(_case(services, tenant, current, records))
    return []


def _case(services: Services, tenant: TenantId, facts: Facts, records: Mapping[DocumentId, Document]) -> Case:
    record = records.get(facts.id)
    container = record.container if record else None
    archive = records.get(container) if container else None
    archive_gone = container is not None and (archive is None or archive.status is Status.DELETED)
    return Case(services, tenant, facts, record, archive_gone=archive_gone)
