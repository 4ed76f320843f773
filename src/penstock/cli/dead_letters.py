"""`penstock dead-letters`: an operator's commands over the messages that their queue gave up."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from penstock.cli.exits import EXIT_CODES, Exit, Stop
from penstock.cli.operator_services import operators_services
from penstock.cli.printing import JSON_HELP, aside, out, print_json
from penstock.domain.errors import CannotRedrive

if TYPE_CHECKING:
    from penstock.operations.dead_letters import Letter
    from penstock.services import Services

dead_letters = typer.Typer(
    no_args_is_help=True,
    help="See, send again and drop the messages that their queue gave up, with the operator's own AWS credentials "
    "(PENSTOCK_BUCKET and the like, or a local run's).",
)

Queue = Annotated[str, typer.Option(help="Only of this queue: extract, embed, delete or arrivals.")]
Reason = Annotated[str, typer.Option(help="Only those whose reason has these words, whatever their case.")]
Tenant = Annotated[str, typer.Option(help="Only of this tenant.")]
Kept = Annotated[
    bool, typer.Option("--kept", help="Those that were sent again, dropped, or were stale when they came.")
]
AsJson = Annotated[bool, typer.Option("--json", help=JSON_HELP)]
Ids = Annotated[list[str] | None, typer.Argument(help="Letters, as `list` shows them; or choose by the options.")]
All = Annotated[bool, typer.Option("--all", help="All that are open.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it. Without this it is only said what would be done.")]


@dead_letters.command("list", epilog=EXIT_CODES)
def list_letters(
    *,
    queue: Queue = "",
    reason: Reason = "",
    tenant: Tenant = "",
    kept: Kept = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="The most.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Letters that wait for somebody to look at them, the oldest of each queue first."""
    from penstock.operations.dead_letters import letters  # noqa: PLC0415 - not for --help

    services = operators_services()
    found = list(islice(letters(services, kept=kept, queue=queue, reason=reason, tenant=tenant), limit))
    waiting = {name.value: count for name, count in services.queue.dead_letter_counts().items() if count}
    if as_json:
        print_json({"letters": [_told(each) for each in found], "not_settled_yet": waiting})
        return
    table = Table("Letter", "Queue", "Fate", "Tenant", "Document", "Reason", box=None, header_style="bold")
    for each in found:
        whose = (str(each.message.get(name, "")) for name in ("tenant", "document"))
        table.add_row(*map(Text, (each.id, each.queue, each.fate, *whose, each.reason)))
    out().print(table if found else "No dead letters.")
    if waiting:
        said = ", ".join(f"{count} of {name}" for name, count in waiting.items())
        aside().print(f"Not settled yet, still in their queues: about {said}.")


@dead_letters.command(epilog=EXIT_CODES)
def show(letter: Annotated[str, typer.Argument(help="A letter, as `list` shows it.")]) -> None:
    """A letter, whole, as JSON; kept ones too."""
    from penstock.operations.dead_letters import find_letter  # noqa: PLC0415

    print_json({**_told(found := find_letter(operators_services(), letter)), "body": found.body})


@dead_letters.command(epilog=EXIT_CODES)
def redrive(
    letter_ids: Ids = None,
    *,
    queue: Queue = "",
    reason: Reason = "",
    tenant: Tenant = "",
    every: All = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Have the work of letters done again: a document that failed is retried, a message that is still owed is sent.
    Mend the cause first; a copy of each letter is kept."""
    from penstock.operations import dead_letters as letters  # noqa: PLC0415

    services = operators_services()
    chosen = _chosen(services, letter_ids, queue=queue, reason=reason, tenant=tenant, every=every)
    _each(services, chosen, letters.redrive if yes else letters.check_redrive, yes=yes, as_json=as_json)


@dead_letters.command(epilog=EXIT_CODES)
def drop(
    letter_ids: Ids = None,
    *,
    queue: Queue = "",
    reason: Reason = "",
    tenant: Tenant = "",
    every: All = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Have letters waited for no more; a copy of each is kept (`list --kept`)."""
    from penstock.operations import dead_letters as letters  # noqa: PLC0415

    def dropped(services: Services, letter: Letter) -> str:
        if yes:
            letters.drop(services, letter)
        return "drop it, and keep a copy"

    services = operators_services()
    chosen = _chosen(services, letter_ids, queue=queue, reason=reason, tenant=tenant, every=every)
    _each(services, chosen, dropped, yes=yes, as_json=as_json)


def _chosen(
    services: Services, ids: list[str] | None, *, queue: str, reason: str, tenant: str, every: bool
) -> list[Letter]:
    """
    Raises:
        Stop: nothing says which.
        NotFound: there is no such letter.
    """
    from penstock.operations.dead_letters import find_letter, letters  # noqa: PLC0415

    if ids:
        return [find_letter(services, each) for each in ids]
    if not (queue or reason or tenant or every):
        raise Stop("Which letters? Name them, choose them by --queue, --reason or --tenant, or say --all.", Exit.USAGE)
    # Listed whole before the first is moved; they hold ids, and there are few.
    return list(letters(services, queue=queue, reason=reason, tenant=tenant))


def _each(
    services: Services, chosen: list[Letter], do: Callable[[Services, Letter], str], *, yes: bool, as_json: bool
) -> None:
    """One that cannot be helped does not keep the others."""
    outcomes: list[dict[str, Any]] = []
    for letter in chosen:
        try:
            outcomes.append({"letter": letter.id, "done": yes, "what": do(services, letter)})
        except CannotRedrive as error:
            outcomes.append({"letter": letter.id, "done": False, "what": None, "refused": str(error)})
    if as_json:
        print_json({"letters": outcomes})
    else:
        for each in outcomes:
            said = each.get("refused") or (f"done: {each['what']}" if yes else f"would {each['what']}")
            out().print(Text(f"{each['letter']}  {said}"))
        if not outcomes:
            out().print("No dead letters.")
        elif not yes:
            aside().print("Nothing was done: --yes does it.")
    raise typer.Exit(Exit.FAILED if any("refused" in each for each in outcomes) else Exit.DONE)


def _told(letter: Letter) -> dict[str, Any]:
    return {
        "id": letter.id,
        "queue": letter.queue,
        "fate": letter.fate,
        "reason": letter.reason,
        "sent": letter.sent.isoformat(),
        "filed": letter.filed.isoformat(),
        "message": dict(letter.message),
    }
