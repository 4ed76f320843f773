"""`penstock rm`: delete documents, and wait until nothing of them is left."""

from __future__ import annotations

from typing import Annotated

import typer

from penstock.cli.client import Refused, connected
from penstock.cli.local_run import address
from penstock.cli.outcome import Outcome, as_json, exit_code, of_removal, print_outcomes
from penstock.cli.printing import JSON_HELP, out, print_json
from penstock.cli.wait import wait_for


def rm(
    document_ids: Annotated[list[str], typer.Argument(help="Documents.")],
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Until nothing of them is left.")] = True,
    timeout: Annotated[float, typer.Option(min=0, help="The longest to wait, in seconds.")] = 600,
    json_out: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False,
) -> None:
    """Delete documents: they are found no more at once; then index, bucket and table are cleared of them."""
    outcomes: dict[str, Outcome] = {}
    tasks: dict[str, str] = {}
    with connected(address()) as api:
        for document in document_ids:
            try:
                tasks[api.remove(document)["task_id"]] = document
            except Refused as error:
                outcomes[document] = Outcome(
                    document, "refused", document, code=error.problem.get("code"), message=str(error)
                )
        for task, seen in wait_for(api, tasks, timeout if wait else 0, lambda _task, _seen: None).items():
            outcomes[tasks[task]] = of_removal(tasks[task], seen, waited=wait)
    ordered = [outcomes[document] for document in dict.fromkeys(document_ids)]
    if json_out:
        print_json(as_json(ordered))
    else:
        print_outcomes(out(), ordered)
    raise typer.Exit(exit_code(ordered))
