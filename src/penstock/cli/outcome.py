"""Outcome: what became of a file or a document, in words for people and in JSON for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from penstock.cli.exits import Exit

_WORDS = {
    "indexed": "indexed",
    "partial": "partly indexed",
    "no_text": "without text",
    "accepted": "accepted",
    "failed": "failed",
    "refused": "refused",
    "revoked": "given up",
    "waiting": "still on the way",
    "deleted": "deleted",
    "cancelled": "cancelled",
}
"""In the order in which they are counted."""
_PUBLISHED = {"indexed", "partial", "no_text"}
_GOOD = {
    "indexed": "green",
    "partial": "yellow",
    "no_text": "yellow",
    "accepted": "cyan",
    "deleted": "green",
    "cancelled": "green",
}


@dataclass(frozen=True, slots=True)
class Member:
    """A file of an archive, which is a document of its own. `status` as of an outcome."""

    name: str
    status: str
    document_id: str
    code: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """`status` is the document's, or one of accepted, refused, revoked, waiting."""

    file: str
    status: str
    document_id: str | None = None
    task_id: str | None = None
    already_here: bool = False
    receipt: Mapping[str, Any] | None = None
    code: str | None = None
    """Of the problem or the failure."""
    message: str | None = None
    next_steps: tuple[str, ...] = ()
    members: tuple[Member, ...] = ()
    """Of an archive that was waited for."""


def of_task(file: str, task: Mapping[str, Any], *, already_here: bool = False) -> Outcome:
    """From a task of the API, at its end or wherever it was left."""
    error = task.get("error") or {}
    state = task["state"]
    result = task.get("result") or {}
    # By now a newer generation may be on its way, or a removal: that is not what became of this one.
    published = task["document_status"] if task["document_status"] in _PUBLISHED else "indexed"
    status = {"SUCCESS": published, "FAILURE": "failed", "REVOKED": "revoked"}.get(state, "waiting")
    return Outcome(
        file,
        status,
        task["document_id"],
        task["task_id"],
        already_here,
        receipt=result.get("receipt"),
        code=error.get("code"),
        message=task.get("reason") or error.get("message"),
        next_steps=tuple(task.get("next_steps", ())),
    )


def of_removal(document: str, task: Mapping[str, Any]) -> Outcome:
    """From a removal's task."""
    status = "deleted" if task["state"] == "SUCCESS" else "waiting"
    error = task.get("error") or {}
    return Outcome(document, status, document, task["task_id"], code=error.get("code"), message=error.get("message"))


def of_cancel(document: str, task: Mapping[str, Any]) -> Outcome:
    """From the task of the ingest that was to be cancelled; a later wish may have come first."""
    if task["state"] == "REVOKED" and task["reason"] == "cancelled":
        return Outcome(document, "cancelled", document, task["task_id"])
    return of_task(document, task)


def of_request(document: str, task: Mapping[str, Any]) -> Outcome:
    """What nobody waited for."""
    return Outcome(document, "accepted", document, task["task_id"])


def exit_code(outcomes: Sequence[Outcome]) -> Exit:
    statuses = {each.status for each in outcomes} | {each.status for outcome in outcomes for each in outcome.members}
    return Exit.DONE if statuses <= _GOOD.keys() else Exit.FAILED


def as_json(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    return {"documents": [asdict(each) for each in outcomes], "summary": _counts(outcomes)}


def print_outcomes(console: Console, outcomes: Sequence[Outcome]) -> None:
    """A line for each, and one that sums up."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("File", "Result", "Pages", "Chunks", "Seconds", "Document"):
        right = column in {"Pages", "Chunks", "Seconds"}
        table.add_column(column, overflow="fold", justify="right" if right else "left")
    for each in outcomes:
        receipt = each.receipt or {}
        pages = str(receipt["pages"]) if receipt.get("paged") else ""
        chunks, seconds = (str(receipt.get(name, "")) for name in ("chunks", "seconds"))
        result = Text(_WORDS.get(each.status, each.status), style=_GOOD.get(each.status, "red"))
        # Names are the users': no markup in them is obeyed.
        table.add_row(Text(each.file), result, pages, chunks, seconds, Text(each.document_id or ""))
    console.print(table)
    for each in outcomes:
        if note := _to_know(each):
            console.print(Text.assemble((f"{each.file}: ", "bold"), note))
        for member in each.members:
            if member.status not in _GOOD:
                said = member.message or _WORDS.get(member.status, member.status)
                console.print(Text.assemble((f"{member.name}: ", "bold"), said))
    console.print(f"{len(outcomes)} {'document' if len(outcomes) == 1 else 'documents'}: {_counted(outcomes)}.")


def _to_know(outcome: Outcome) -> str:
    if outcome.message:
        return outcome.message  # it says what to do; the steps are for programs that show them
    receipt = outcome.receipt or {}
    said = ["was here already"] if outcome.already_here else []
    if receipt.get("members"):
        became = f" ({_counted(outcome.members)})" if outcome.members else ""
        said.append(f"files in it that are documents of their own: {receipt['members']}{became}")
    what = "pages" if receipt.get("paged", True) else "files" if receipt.get("kind") == "zip" else "parts"
    for field, words in (
        ("pages_damaged", f"{what} that could not be read: "),
        ("refused", "chunks without a vector (the embedder refused them): "),
        ("pages_without_text", f"{what} without text: "),
    ):
        if receipt.get(field):
            said.append(words + str(receipt[field]))
    if outcome.status == "no_text":
        said.append("nothing to find; if it is a scan, run text recognition on it and add the result")
    return "; ".join([*said, *receipt.get("warnings", ())])


def _counted(outcomes: Sequence[Outcome | Member]) -> str:
    return ", ".join(f"{count} {_WORDS.get(status, status)}" for status, count in _counts(outcomes).items())


def _counts(outcomes: Sequence[Outcome | Member]) -> dict[str, int]:
    counts = Counter(each.status for each in outcomes)
    known = [status for status in _WORDS if status in counts]
    return {status: counts[status] for status in [*known, *(counts.keys() - _WORDS.keys())]}
