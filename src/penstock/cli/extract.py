"""`penstock extract`: read a file on this machine, without a server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from penstock.cli.printing import AsJson, aside, print_json
from penstock.reading.report import report
from penstock.reading.sandbox.reader import ChildReader
from penstock.settings import Settings


def extract(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="The file to read.")],
    as_json: AsJson = False,
) -> None:
    """Read a file as a worker would, in a child process with the same limits, and print its text.

    No server is needed. The limits are the settings that begin with PENSTOCK_EXTRACT_.
    """
    settings, recognizer = Settings.from_environment(), None
    if settings.recognizer != "none":
        from penstock.wiring import recognizer as chosen  # noqa: PLC0415 - imports boto3

        recognizer = chosen(settings)
    found = report(ChildReader(settings.extract, recognizer), file)
    if as_json:
        print_json(found)
        return
    for page in found["pages"]:
        typer.echo(f"── {page['number']} ──\n{page['text']}\n")
    for warning in found["warnings"]:
        aside().print(f"warning: {warning}", markup=False)
