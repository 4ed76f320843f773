"""`penstock search`: a question in, hits with their pages out."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.text import Text

from penstock.cli.client import connected
from penstock.cli.exits import Exit
from penstock.cli.local_run import address
from penstock.cli.printing import AsJson, out, print_json
from penstock.local.highlight import highlighted


def search(
    query: Annotated[list[str], typer.Argument(help="Words to look for, or a question.")],
    *,
    k: Annotated[int, typer.Option("-k", min=1, max=100, help="The maximum number of hits.")] = 5,
    source: Annotated[list[str] | None, typer.Option(help="Only documents of this source. May be repeated.")] = None,
    document: Annotated[list[str] | None, typer.Option(help="Only the document with this id. May be repeated.")] = None,
    metadata: Annotated[
        list[str] | None,
        typer.Option(help="Only documents with this metadata, written as name:value. May be repeated."),
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Only documents that arrived at this time or later, such as 2026-01-31T00:00Z.")
    ] = None,
    before: Annotated[str | None, typer.Option(help="Only documents that arrived before this time.")] = None,
    offset: Annotated[int, typer.Option(min=0, help="The number of best hits to skip.")] = 0,
    one_per_document: Annotated[bool, typer.Option(help="Show only the best hit of each document.")] = False,
    explain: Annotated[bool, typer.Option(help="Show the two parts of each score.")] = False,
    as_json: AsJson = False,
) -> None:
    """Find text, and the page on which it stands. The exit code is 1 if nothing was found."""
    with connected(address()) as api:
        answer = api.search(
            " ".join(query),
            k=k,
            source=source or [],
            document=document or [],
            metadata=metadata or [],
            offset=offset,
            one_per_document=one_per_document,
            explain=explain,
            **{name: value for name, value in (("since", since), ("before", before)) if value},
        )
    if as_json:
        print_json(answer)
    else:
        _print_answer(answer)
    raise typer.Exit(Exit.DONE if answer["hits"] else Exit.FAILED)


def _print_answer(answer: dict[str, Any]) -> None:
    console = out()
    for number, hit in enumerate(answer["hits"], 1):
        title = (
            Text(f"{number}. ").append(hit["name"], "bold").append(_where(hit)).append(f"  {hit['score']:.2f}", "dim")
        )
        console.print(title)
        if hit["parts"]:
            console.print(Text(f"words {hit['parts']['words']:.2f} + vectors {hit['parts']['vectors']:.2f}", "dim"))
        console.print(highlighted(hit["snippet"], "bold yellow"))
        if hit["more"]:
            console.print(Text(f"{hit['more']} more hits in this document: --document {hit['document_id']}", "dim"))
        console.print(Text(hit["url"], "dim"), soft_wrap=True)
        console.print()
    if not answer["hits"]:
        console.print("Nothing was found.")
    if answer["next_offset"] is not None:
        console.print(Text(f"There are more hits: --offset {answer['next_offset']}", "dim"))
    if answer["incomplete"]:
        console.print("Documents were changing during the search, so hits may be missing. Search again.")


def _where(hit: dict[str, Any]) -> str:
    page = "" if hit["page"] is None else f", page {hit['page']}"
    return page + "".join(f", {heading}" for heading in [" › ".join(hit["section"])] if heading)
