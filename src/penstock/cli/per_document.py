"""Each: ask the same of several documents, wait for what comes of it, and say what that was."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import typer

from penstock.cli.client import Api, Refused, connected
from penstock.cli.local_run import address
from penstock.cli.outcome import Outcome, as_json, exit_code, of_request, print_outcomes
from penstock.cli.printing import out, print_json
from penstock.cli.waiting import wait_for


def ask_each(
    documents: list[str],
    ask: Callable[[Api, str], Mapping[str, Any]],
    told: Callable[[str, Mapping[str, Any]], Outcome],
    seconds: float | None,
    *,
    as_json_out: bool,
) -> None:
    """One document's refusal does not stop the others.

    Args:
        told: what to say of a task.
        seconds: the longest to wait; None for not at all.
    """
    outcomes: dict[str, Outcome] = {}
    tasks: dict[str, str] = {}
    with connected(address()) as api:
        for document in documents:
            try:
                tasks[ask(api, document)["task_id"]] = document
            except Refused as error:
                code = error.problem.get("code")
                outcomes[document] = Outcome(document, "refused", document, code=code, message=str(error))
        for task, seen in wait_for(api, tasks, seconds or 0, lambda _task, _seen: None).items():
            outcomes[tasks[task]] = (of_request if seconds is None else told)(tasks[task], seen)
    ordered = [outcomes[document] for document in dict.fromkeys(documents)]
    if as_json_out:
        print_json(as_json(ordered))
    else:
        print_outcomes(out(), ordered)
    raise typer.Exit(exit_code(ordered))
