"""Remove: a document leaves the index, the bucket and the table, complete and counted."""

from __future__ import annotations

from penstock.document import DocumentId, TenantId
from penstock.ports import Services
from penstock.task import TaskId


def request_removal(services: Services, tenant: TenantId, document: DocumentId) -> TaskId:
    """Hide the document from readers at once, and ask for its removal. Asked twice, it is the same task.

    Raises:
        NotFound: there is no such document, or it is deleted already.
    """
    raise NotImplementedError
