"""`penstock retry` and `penstock cancel`: begin the work on documents anew, or stop it."""

from __future__ import annotations

from typing import Annotated

import typer

from penstock.cli.client import Api
from penstock.cli.outcome import of_cancel, of_task
from penstock.cli.per_document import ask_each
from penstock.cli.printing import JSON_HELP

Documents = Annotated[list[str], typer.Argument(help="Documents.")]
Timeout = Annotated[float, typer.Option(min=0, help="The longest to wait, in seconds.")]
AsJson = Annotated[bool, typer.Option("--json", help=JSON_HELP)]


def retry(
    document_ids: Documents,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Until each has come to its end.")] = True,
    timeout: Timeout = 600,
    json_out: AsJson = False,
) -> None:
    """Begin anew with documents that failed or were cancelled: attempts are counted from zero, and what has a vector by
    now is not paid for again. One that is under way already goes on."""
    ask_each(document_ids, Api.retry, of_task, timeout if wait else None, as_json_out=json_out)


def cancel(
    document_ids: Documents,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Until nobody works on them any more.")] = True,
    timeout: Timeout = 600,
    json_out: AsJson = False,
) -> None:
    """Stop the work on documents, and its cost: at once, or at the next checkpoint of whoever works on one. What was
    found before stays found, and the bytes are kept: `penstock retry` begins anew."""
    ask_each(document_ids, Api.cancel, of_cancel, timeout if wait else None, as_json_out=json_out)
