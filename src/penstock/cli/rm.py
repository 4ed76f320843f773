"""`penstock rm`: delete documents, and wait until nothing of them is left."""

from __future__ import annotations

from typing import Annotated

import typer

from penstock.cli.client import Api
from penstock.cli.outcome import of_removal
from penstock.cli.per_document import DocumentIds, Timeout, ask_each
from penstock.cli.printing import AsJson


def rm(
    document_ids: DocumentIds,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until nothing of them is left.")] = True,
    timeout: Timeout = 600,
    as_json: AsJson = False,
) -> None:
    """Delete documents. Search stops finding them at once; then they are removed from the index, the bucket and the
    table."""
    ask_each(document_ids, Api.remove, of_removal, timeout if wait else None, as_json=as_json)
