"""`penstock retry` and `penstock cancel`: retry the work on documents from the start, or stop it."""

from __future__ import annotations

from typing import Annotated

import typer

from penstock.cli.client import Api
from penstock.cli.outcome import of_cancel, of_task
from penstock.cli.per_document import DocumentIds, Timeout, ask_each
from penstock.cli.printing import AsJson


def retry(
    document_ids: DocumentIds,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until each has a final state.")] = True,
    timeout: Timeout = 600,
    as_json: AsJson = False,
) -> None:
    """Retry documents that failed or were cancelled, from the start.

    Their attempts are counted from zero, and texts that have a vector by now are not embedded again. A document that is
    being processed continues unchanged.
    """
    ask_each(document_ids, Api.retry, of_task, timeout if wait else None, as_json=as_json)


def cancel(
    document_ids: DocumentIds,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until the work has stopped.")] = True,
    timeout: Timeout = 600,
    as_json: AsJson = False,
) -> None:
    """Stop the work on documents, and with it the cost.

    It stops at once, or at the next checkpoint of the worker that has it. What was searchable before stays searchable.
    The bytes are kept: `penstock retry` starts the work again.
    """
    ask_each(document_ids, Api.cancel, of_cancel, timeout if wait else None, as_json=as_json)
