"""`penstock list`: documents, newest first."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from penstock.cli.client import connected
from penstock.cli.local_run import address
from penstock.cli.printing import AsJson, out, print_json
from penstock.domain.status import Status


def list_documents(
    status: Annotated[
        list[Status] | None, typer.Option(help="Only documents with this status. May be repeated.")
    ] = None,
    source: Annotated[list[str] | None, typer.Option(help="Only documents of this source. May be repeated.")] = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, max=100_000, help="The maximum number of documents.")
    ] = 50,
    as_json: AsJson = False,
) -> None:
    """List documents, newest first. A document is in the list as soon as it is accepted."""
    with connected(address()) as api:
        statuses = [each.value for each in status or []]
        documents = list(api.documents(limit=limit, status=statuses, source=source or []))
    if as_json:
        print_json({"documents": documents})
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("Document", "Name", "Status", "Chunks", "Source", "Accepted"):
        table.add_column(column, overflow="fold", justify="right" if column == "Chunks" else "left")
    for each in documents:
        chunks = "" if each["chunks"] is None else str(each["chunks"])
        cells = (each["document_id"], each["name"], each["status"], chunks, each["source"], each["accepted_at"][:19])
        table.add_row(*map(Text, cells))
    out().print(table if documents else "No documents.")
