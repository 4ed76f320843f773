"""Commands that ask the same of several documents: send the requests, wait for the tasks, and print the outcomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

from penstock.cli.client import Api, ApiProblem, connected
from penstock.cli.local_run import address
from penstock.cli.outcome import Outcome, exit_code, of_request, outcomes_json, print_outcomes
from penstock.cli.printing import out, print_json
from penstock.cli.waiting import wait_for

DocumentIds = Annotated[list[str], typer.Argument(help="The ids of the documents.")]
Timeout = Annotated[float, typer.Option(min=0, help="The maximum time to wait, in seconds.")]


def ask_each(
    documents: list[str],
    request: Callable[[Api, str], Mapping[str, Any]],
    outcome_of: Callable[[str, Mapping[str, Any]], Outcome],
    seconds: float | None,
    *,
    as_json: bool,
) -> None:
    """Send the request for each document and print the outcomes. The refusal of one does not stop the others.

    Args:
        outcome_of: makes the outcome of a document from its task.
        seconds: the maximum time to wait. None does not wait.
    """
    outcomes: dict[str, Outcome] = {}
    tasks: dict[str, str] = {}
    with connected(address()) as api:
        for document in documents:
            try:
                tasks[request(api, document)["task_id"]] = document
            except ApiProblem as error:
                code = error.problem.get("code")
                outcomes[document] = Outcome(document, "refused", document, code=code, message=str(error))
        for task, state in wait_for(api, tasks, seconds or 0, lambda _task, _state: None).items():
            outcomes[tasks[task]] = (of_request if seconds is None else outcome_of)(tasks[task], state)
    ordered = [outcomes[document] for document in dict.fromkeys(documents)]
    if as_json:
        print_json(outcomes_json(ordered))
    else:
        print_outcomes(out(), ordered)
    raise typer.Exit(exit_code(ordered))
