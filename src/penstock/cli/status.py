"""`penstock status`: the status of a document, or of the system."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from penstock.cli.client import Api, connected
from penstock.cli.exits import Exit
from penstock.cli.local_run import address
from penstock.cli.printing import AsJson, counted, out, print_json

_MAX_COUNTED = 10_000
"""The maximum number of documents that are counted. Each request returns a page of 100."""


def status(
    document_id: Annotated[
        str | None, typer.Argument(help="The id of a document. Without it, the status of the system is shown.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the status of a document and its receipt, or the status of the system.

    The status of the system says which dependencies answer, and how many documents have which status.

    The exit code is 1 if the document failed, and 3 if the system is not ready.
    """
    with connected(address()) as api:
        if document_id is None:
            raise typer.Exit(_print_system(api, as_json=as_json))
        document = api.document(document_id)
    if as_json:
        print_json(document)
    else:
        _print_document(document)
    raise typer.Exit(Exit.FAILED if document["status"] == "failed" else Exit.DONE)


def _print_system(api: Api, *, as_json: bool) -> Exit:
    ready = api.readiness()
    dependencies = ready["dependencies"]
    all_ok = all(each["ok"] for each in dependencies.values())
    # Without the table, documents cannot be listed.
    listed = list(api.documents(limit=_MAX_COUNTED)) if dependencies["documents"]["ok"] else []
    counts = dict(Counter(each["status"] for each in listed).most_common())
    counted_all = len(listed) < _MAX_COUNTED
    if as_json:
        print_json({"ready": all_ok, "dependencies": dependencies, "documents": counts, "counted_all": counted_all})
    else:
        for name, each in dependencies.items():
            out().print(Text(f"{name:<10} {'ok' if each['ok'] else each['problem']}", "green" if each["ok"] else "red"))
        newest = "" if counted_all else f" (of the newest {_MAX_COUNTED})"
        out().print(f"documents: {counted(counts) or 'none'}{newest}", markup=False)
    return Exit.DONE if all_ok else Exit.UNREACHABLE


def _print_document(document: dict[str, Any]) -> None:
    table = Table.grid(padding=(0, 2))
    for name, value in _lines(document):
        table.add_row(Text(name, "bold"), Text(value))
    out().print(table)


def _lines(document: dict[str, Any]) -> list[tuple[str, str]]:
    """The name and the value of each line to show. Values that are empty are left out."""
    progress, receipt, active = document["progress"], document["receipt"] or {}, document["active"]
    total = "?" if progress["total"] is None else progress["total"]
    searchable = f"generation {active['generation']}, {active['chunks']} chunks" if active else "nothing"
    lines = [
        ("document", document["document_id"]),
        ("name", document["name"]),
        ("status", document["status"]),
        ("progress", f"{progress['current']} of {total} {progress['unit']}"),
        ("searchable", searchable),
        ("source", document["source"]),
        ("lane", document["lane"]),
        *([("in archive", document["container"])] if document["container"] else []),
        ("accepted", document["accepted_at"]),
        *((f"meta {name}", value) for name, value in document["metadata"].items()),
        *((name.replace("_", " "), _text(value)) for name, value in _filled(receipt)),
    ]
    if document["error"]:
        lines.append(("error", f"{document['error']['message']} ({document['error']['code']})"))
    lines += ((f"failed {each['at'][:19]}", f"{each['message']} ({each['code']})") for each in document["history"])
    return lines


def _filled(receipt: dict[str, Any]) -> list[tuple[str, object]]:
    filled = [(name, value) for name, value in receipt.items() if value not in ("", [], None)]
    return [each for each in filled if each != ("members", 0)]  # the document is not an archive


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "; ".join(map(str, value)) if isinstance(value, list) else str(value)
