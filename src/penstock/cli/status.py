"""`penstock status`: how a document stands; without an id, how Penstock does."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from penstock.cli.client import Api, connected
from penstock.cli.exits import Exit
from penstock.cli.local_run import address
from penstock.cli.printing import JSON_HELP, out, print_json

_COUNTED = 10_000  # documents: a page of 100 a call


def status(
    document_id: Annotated[str | None, typer.Argument(help="A document; without one, Penstock itself.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False,
) -> None:
    """How a document stands, with its receipt. Without an id: what answers and what does not, and how many documents
    are in which state.

    Ends with 1 where the document failed, and with 3 where Penstock is not ready.
    """
    with connected(address()) as api:
        if document_id is None:
            raise typer.Exit(_of_penstock(api, as_json=as_json))
        document = api.document(document_id)
    if as_json:
        print_json(document)
    else:
        _print_document(document)
    raise typer.Exit(Exit.FAILED if document["status"] == "failed" else Exit.DONE)


def _of_penstock(api: Api, *, as_json: bool) -> Exit:
    ready = api.readiness()
    dependencies = ready["dependencies"]
    fine = all(each["ok"] for each in dependencies.values())
    # Without the table there is nothing to count.
    listed = list(api.documents(limit=_COUNTED)) if dependencies["documents"]["ok"] else []
    counts = dict(Counter(each["status"] for each in listed).most_common())
    whole = len(listed) < _COUNTED
    if as_json:
        print_json({"ready": fine, "dependencies": dependencies, "documents": counts, "counted_all": whole})
    else:
        for name, each in dependencies.items():
            out().print(Text(f"{name:<10} {'ok' if each['ok'] else each['problem']}", "green" if each["ok"] else "red"))
        said = ", ".join(f"{count} {state}" for state, count in counts.items()) or "none"
        out().print(f"documents: {said}{'' if whole else f' (of the newest {_COUNTED})'}", markup=False)
    return Exit.DONE if fine else Exit.UNREACHABLE


def _print_document(document: dict[str, Any]) -> None:
    table = Table.grid(padding=(0, 2))
    for name, value in _lines(document):
        table.add_row(Text(name, "bold"), Text(value))
    out().print(table)


def _lines(document: dict[str, Any]) -> list[tuple[str, str]]:
    """What a person wants to know, and nothing that is empty."""
    come, receipt, active = document["progress"], document["receipt"] or {}, document["active"]
    total = "?" if come["total"] is None else come["total"]
    searchable = f"generation {active['generation']}, {active['chunks']} chunks" if active else "nothing yet"
    lines = [
        ("document", document["document_id"]),
        ("name", document["name"]),
        ("status", document["status"]),
        ("progress", f"{come['current']} of {total} {come['unit']}"),
        ("found now", searchable),
        ("source", document["source"]),
        ("lane", document["lane"]),
        *([("came in", document["container"])] if document["container"] else []),
        ("accepted", document["accepted_at"]),
        *((f"meta {name}", value) for name, value in document["metadata"].items()),
        *((name.replace("_", " "), _said(value)) for name, value in _filled(receipt)),
    ]
    if document["error"]:
        lines.append(("error", f"{document['error']['message']} ({document['error']['code']})"))
    lines += ((f"failed {each['at'][:19]}", f"{each['message']} ({each['code']})") for each in document["history"])
    return lines


def _filled(receipt: dict[str, Any]) -> list[tuple[str, object]]:
    filled = [(name, value) for name, value in receipt.items() if value not in ("", [], None)]
    return [each for each in filled if each != ("members", 0)]  # it is no archive


def _said(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "; ".join(map(str, value)) if isinstance(value, list) else str(value)
