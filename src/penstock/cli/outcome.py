"""Outcomes: what became of a file or a document, as a table for people and as JSON for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from penstock.cli.exits import Exit
from penstock.cli.printing import counted

_WORDS = {
    "indexed": "indexed",
    "partial": "partly indexed",
    "no_text": "without text",
    "accepted": "accepted",
    "failed": "failed",
    "refused": "refused",
    "revoked": "revoked",
    "waiting": "still in progress",
    "deleted": "deleted",
    "cancelled": "cancelled",
}
"""The words for each status, in the order in which the summary counts them."""
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
    """A file of an archive, which is a document of its own. `status` has the same values as that of an outcome."""

    name: str
    status: str
    document_id: str
    code: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a file. `status` is that of the document, or one of accepted, refused, revoked and waiting."""

    file: str
    status: str
    document_id: str | None = None
    task_id: str | None = None
    already_here: bool = False
    receipt: Mapping[str, Any] | None = None
    code: str | None = None
    """The code of the problem or of the failure."""
    message: str | None = None
    next_steps: tuple[str, ...] = ()
    members: tuple[Member, ...] = ()
    """The files of an archive whose processing was awaited."""


def of_task(file: str, task: Mapping[str, Any], *, already_here: bool = False) -> Outcome:
    """The outcome of an ingest, made from its task. The task may still be in progress."""
    error = task.get("error") or {}
    state = task["state"]
    result = task.get("result") or {}
    # The document may be replaced or deleted by now, so its status may not be what became of this generation.
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
    """The outcome of a deletion, made from its task."""
    status = "deleted" if task["state"] == "SUCCESS" else "waiting"
    error = task.get("error") or {}
    return Outcome(document, status, document, task["task_id"], code=error.get("code"), message=error.get("message"))


def of_cancel(document: str, task: Mapping[str, Any]) -> Outcome:
    """The outcome of a cancellation, made from the task of the ingest, which may have ended in another way first."""
    if task["state"] == "REVOKED" and task["reason"] == "cancelled":
        return Outcome(document, "cancelled", document, task["task_id"])
    return of_task(document, task)


def of_request(document: str, task: Mapping[str, Any]) -> Outcome:
    """The outcome of a request whose task was not awaited."""
    return Outcome(document, "accepted", document, task["task_id"])


def exit_code(outcomes: Sequence[Outcome]) -> Exit:
    statuses = {each.status for each in outcomes} | {each.status for outcome in outcomes for each in outcome.members}
    return Exit.DONE if statuses <= _GOOD.keys() else Exit.FAILED


def outcomes_json(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    return {"documents": [asdict(each) for each in outcomes], "summary": _counts(outcomes)}


def print_outcomes(console: Console, outcomes: Sequence[Outcome]) -> None:
    """Print a table with a row for each outcome, notes, and a summary."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("File", "Result", "Pages", "Chunks", "Seconds", "Document"):
        right = column in {"Pages", "Chunks", "Seconds"}
        table.add_column(column, overflow="fold", justify="right" if right else "left")
    for each in outcomes:
        receipt = each.receipt or {}
        pages = str(receipt["pages"]) if receipt.get("paged") else ""
        chunks, seconds = (str(receipt.get(name, "")) for name in ("chunks", "seconds"))
        result = Text(_WORDS.get(each.status, each.status), style=_GOOD.get(each.status, "red"))
        # Names come from users, so markup in them must not have an effect.
        table.add_row(Text(each.file), result, pages, chunks, seconds, Text(each.document_id or ""))
    console.print(table)
    for each in outcomes:
        if note := _note(each):
            console.print(Text.assemble((f"{each.file}: ", "bold"), note))
        for member in each.members:
            if member.status not in _GOOD:
                note = member.message or _WORDS.get(member.status, member.status)
                console.print(Text.assemble((f"{member.name}: ", "bold"), note))
    console.print(f"{len(outcomes)} {'document' if len(outcomes) == 1 else 'documents'}: {_summary(outcomes)}.")


def _note(outcome: Outcome) -> str:
    if outcome.message:
        return outcome.message  # it says what to do; `next_steps` are for programs
    receipt = outcome.receipt or {}
    notes = ["was here already"] if outcome.already_here else []
    if receipt.get("members"):
        summary = f" ({_summary(outcome.members)})" if outcome.members else ""
        notes.append(f"files in it that are documents of their own: {receipt['members']}{summary}")
    unit = "pages" if receipt.get("paged", True) else "files" if receipt.get("kind") == "zip" else "parts"
    for field, words in (
        ("pages_damaged", f"{unit} that could not be read: "),
        ("refused", "chunks without a vector (the embedder refused them): "),
        ("pages_without_text", f"{unit} without text: "),
    ):
        if receipt.get(field):
            notes.append(words + str(receipt[field]))
    if outcome.status == "no_text":
        notes.append("it has no text; if it is a scan, run text recognition on it and add the result")
    return "; ".join([*notes, *receipt.get("warnings", ())])


def _summary(outcomes: Sequence[Outcome | Member]) -> str:
    return counted({_WORDS.get(status, status): count for status, count in _counts(outcomes).items()})


def _counts(outcomes: Sequence[Outcome | Member]) -> dict[str, int]:
    counts = Counter(each.status for each in outcomes)
    known = [status for status in _WORDS if status in counts]
    return {status: counts[status] for status in [*known, *(counts.keys() - _WORDS.keys())]}
