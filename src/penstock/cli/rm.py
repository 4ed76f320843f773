"""`penstock rm`: delete documents, and wait until nothing of them is left."""

from __future__ import annotations

from typing import Annotated

import typer

from penstock.cli.client import Api
from penstock.cli.outcome import of_removal
from penstock.cli.per_document import ask_each
from penstock.cli.printing import JSON_HELP


def rm(
    document_ids: Annotated[list[str], typer.Argument(help="Documents.")],
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Until nothing of them is left.")] = True,
    timeout: Annotated[float, typer.Option(min=0, help="The longest to wait, in seconds.")] = 600,
    json_out: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False,
) -> None:
    """Delete documents: they are found no more at once; then index, bucket and table are cleared of them."""
    ask_each(document_ids, Api.remove, of_removal, timeout if wait else None, as_json_out=json_out)
