"""`penstock estimate`: what files would take and cost, before anything is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from penstock.cli.add import DIRECT, files_in
from penstock.cli.estimated import report
from penstock.cli.exits import Exit, Stop
from penstock.cli.printing import JSON_HELP, out, print_json


def estimate(
    paths: Annotated[
        list[Path], typer.Argument(exists=True, help="Files; folders with all that is in them, hidden files apart.")
    ],
    model: Annotated[
        str | None,
        typer.Option(help="Embedding model to price; wordllama costs nothing. Else the one that is configured."),
    ] = None,
    json_out: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False,
) -> None:
    """Pages, chunks, tokens, requests and dollars of files, read here as a worker would. Needs no server.

    Dollars are by the prices that came with this version. Texts that the index knows cost less: they are not embedded
    again. What stands by, as an OpenSearch domain does, is not a file's.
    """
    files = list(files_in(paths))
    if not files:
        raise Stop("There is no file in what was named.")
    found = report(files, model=model, direct=DIRECT)
    if json_out:
        print_json(found)
    else:
        _print(found)
    if any(each["problem"] for each in found["files"]):
        raise typer.Exit(Exit.FAILED)


def _print(report: dict[str, Any]) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("File", "Pages", "Chunks", "Tokens", "Requests", "Dollars"):
        table.add_column(column, overflow="fold", justify="left" if column == "File" else "right")
    total = {**report["total"], "file": f"in all: {report['total']['files']}"}
    for each in (*report["files"], total):
        cells = [f"{each[name]:,.0f}" for name in ("pages", "chunks", "tokens", "requests")]
        table.add_row(Text(each["file"]), *cells, f"{sum(part or 0.0 for part in each['dollars'].values()):.6f}")
    console = out()
    console.print(table)
    for each in report["files"]:
        if each["problem"]:
            console.print(Text.assemble((f"{each['file']}: ", "bold"), "would fail: ", each["problem"]["message"]))
    parts = report["total"]["dollars"]
    embedding = "no price listed" if parts["embedding"] is None else f"${parts['embedding']:.6f}"
    console.print(
        f"Requests ${parts['requests']:.6f}, compute ${parts['compute']:.6f} (as long as it took here, on Lambda), "
        f"embedding {embedding} ({report['model']}).\n"
        f"Prices of {report['prices']['region']}, {report['prices']['noted']}; tokens are {report['tokens_are']}.",
        markup=False,
    )
