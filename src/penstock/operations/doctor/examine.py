"""Doctor: compare what table, bucket and index hold of each document of a tenant, and repair the differences.

Each of the three is listed once, and the lists are joined by an external sort, so that memory does not grow with their
length. The lists are of three different moments, and the tenant's documents change meanwhile: so a document that looks
wrong is looked at again, as it is now, before it is reported. Repairs use only the functions that everybody else uses,
and each of these reads the record once more (I2).

`facts.py` gathers the facts; `document_checks.py` and `orphan_checks.py` have a check for each kind of finding.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from itertools import islice

from penstock.domain.document import Document
from penstock.domain.ids import DocumentId, TenantId, is_tenant_id
from penstock.domain.status import Status
from penstock.operations.doctor.case import Case, Check, Finding, Kind, is_settled, receive_found
from penstock.operations.doctor.document_checks import CHECKS_OF_DOCUMENT, CHECKS_WHILE_DELETING
from penstock.operations.doctor.facts import Facts, current_facts, gathered_facts
from penstock.operations.doctor.orphan_checks import CHECKS_WITHOUT_DOCUMENT
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
                if _findings(_case(services, tenant, facts, records)):
                    yield from _looked_at_again(services, tenant, facts)
    yield from _uploads(services, tenant)


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
            return _findings(_case(services, tenant, current, records))
    return []


def _case(services: Services, tenant: TenantId, facts: Facts, records: Mapping[DocumentId, Document]) -> Case:
    record = records.get(facts.id)
    container = record.container if record else None
    archive = records.get(container) if container else None
    archive_gone = container is not None and (archive is None or archive.status is Status.DELETED)
    return Case(services, tenant, facts, record, archive_gone=archive_gone)


def _findings(case: Case) -> list[Finding]:
    """What is wrong with this document."""
    return [
        Finding(kind, case.facts.id, problem.what, problem.remedy, problem.repair)
        for kind, check in _checks_for(case.record).items()
        for problem in check(case)
    ]


def _checks_for(record: Document | None) -> Mapping[Kind, Check]:
    if record is None or record.status is Status.DELETED:
        return CHECKS_WITHOUT_DOCUMENT
    return CHECKS_WHILE_DELETING if record.status is Status.DELETING else CHECKS_OF_DOCUMENT


def _uploads(services: Services, tenant: TenantId) -> Iterator[Finding]:
    """Files that were uploaded and not received. A file that is received leaves `uploads/` within moments."""
    for each in services.objects.listed(tenant, f"uploads/{tenant}/"):
        if each.latest and not each.marker and is_settled(each, services.clock()):
            yield Finding(
                Kind.ARRIVAL_UNHEARD,
                each.key,
                "this upload has arrived, but its event has not",
                "receive it, or remove it if it is not awaited any more",
                partial(receive_found, services, each),
            )
