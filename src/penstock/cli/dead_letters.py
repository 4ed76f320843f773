"""`penstock dead-letters`: an operator's commands for the messages that were given up."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from penstock.cli.exits import EXIT_CODES, CommandError, Exit
from penstock.cli.operator_services import operator_services
from penstock.cli.printing import AsJson, aside, counted, out, print_json
from penstock.domain.errors import CannotRedrive

if TYPE_CHECKING:
    from penstock.operations.dead_letters import Letter
    from penstock.services import Services

dead_letters = typer.Typer(
    no_args_is_help=True,
    help="List, redrive and drop dead letters: the messages that were given up. Uses your own AWS credentials, and the "
    "settings PENSTOCK_BUCKET and so on, or those of a local run.",
)

Queue = Annotated[str, typer.Option(help="Only letters of this queue: extract, embed, delete or arrivals.")]
Reason = Annotated[str, typer.Option(help="Only letters whose reason has these words; case does not matter.")]
Tenant = Annotated[str, typer.Option(help="Only letters of this tenant.")]
Kept = Annotated[
    bool, typer.Option("--kept", help="List the letters that were redriven, dropped, or stale on arrival.")
]
Ids = Annotated[
    list[str] | None, typer.Argument(help="The ids of letters, as `list` shows them. Or choose letters by the options.")
]
All = Annotated[bool, typer.Option("--all", help="All open letters.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it. Without this option, only print what would be done.")]


@dead_letters.command("list", epilog=EXIT_CODES)
def list_letters(
    *,
    queue: Queue = "",
    reason: Reason = "",
    tenant: Tenant = "",
    kept: Kept = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="The maximum number of letters.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List the letters that wait for a decision, the oldest of each queue first."""
    from penstock.operations.dead_letters import letters  # noqa: PLC0415 - not for --help

    services = operator_services()
    found = list(islice(letters(services, kept=kept, queue=queue, reason=reason, tenant=tenant), limit))
    not_filed = {name.value: count for name, count in services.queue.dead_letter_counts().items() if count}
    if as_json:
        print_json({"letters": [_letter_json(each) for each in found], "not_settled_yet": not_filed})
        return
    table = Table("Letter", "Queue", "Fate", "Tenant", "Document", "Reason", box=None, header_style="bold")
    for each in found:
        owner = (str(each.message.get(name, "")) for name in ("tenant", "document"))
        table.add_row(*map(Text, (each.id, each.queue, each.fate, *owner, each.reason)))
    out().print(table if found else "No dead letters.")
    if not_filed:
        aside().print(f"Still in their dead-letter queues, and not listed yet: about {counted(not_filed)}.")


@dead_letters.command(epilog=EXIT_CODES)
def show(letter: Annotated[str, typer.Argument(help="The id of a letter, as `list` shows it.")]) -> None:
    """Print a whole letter as JSON. It may be open, or a copy that was kept."""
    from penstock.operations.dead_letters import find_letter  # noqa: PLC0415

    found = find_letter(operator_services(), letter)
    print_json({**_letter_json(found), "body": found.body})


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
    """Redrive letters: retry their documents if they failed, and send the messages that are still needed.

    Repair the cause first. A copy of each letter is kept.
    """
    from penstock.operations import dead_letters as letters  # noqa: PLC0415

    services = operator_services()
    chosen = _chosen(services, letter_ids, queue=queue, reason=reason, tenant=tenant, every=every)
    _for_each(services, chosen, letters.redrive if yes else letters.check_redrive, yes=yes, as_json=as_json)


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
    """Drop letters: they are no longer open. A copy of each is kept (`list --kept`)."""
    from penstock.operations import dead_letters as letters  # noqa: PLC0415

    def drop_letter(services: Services, letter: Letter) -> str:
        if yes:
            letters.drop(services, letter)
        return "drop it, and keep a copy"

    services = operator_services()
    chosen = _chosen(services, letter_ids, queue=queue, reason=reason, tenant=tenant, every=every)
    _for_each(services, chosen, drop_letter, yes=yes, as_json=as_json)


def _chosen(
    services: Services, ids: list[str] | None, *, queue: str, reason: str, tenant: str, every: bool
) -> list[Letter]:
    """
    Raises:
        CommandError: neither ids nor options choose any letters.
        NotFound: there is no letter with this id.
    """
    from penstock.operations.dead_letters import find_letter, letters  # noqa: PLC0415

    if ids:
        return [find_letter(services, each) for each in ids]
    if not (queue or reason or tenant or every):
        raise CommandError(
            "No letters are chosen. Give their ids, or use --queue, --reason, --tenant or --all.", Exit.USAGE
        )
    # The list is complete before the first letter is moved. Letters hold ids only, and there are few.
    return list(letters(services, queue=queue, reason=reason, tenant=tenant))


def _for_each(
    services: Services, chosen: list[Letter], act: Callable[[Services, Letter], str], *, yes: bool, as_json: bool
) -> None:
    """Act on each letter, and print what was done. A letter that cannot be redriven does not stop the others."""
    outcomes: list[dict[str, Any]] = []
    for letter in chosen:
        try:
            outcomes.append({"letter": letter.id, "done": yes, "what": act(services, letter)})
        except CannotRedrive as error:
            outcomes.append({"letter": letter.id, "done": False, "what": None, "refused": str(error)})
    if as_json:
        print_json({"letters": outcomes})
    else:
        for each in outcomes:
            result = each.get("refused") or (f"done: {each['what']}" if yes else f"would {each['what']}")
            out().print(Text(f"{each['letter']}  {result}"))
        if not outcomes:
            out().print("No dead letters.")
        elif not yes:
            aside().print("Nothing was done. Repeat the command with --yes to do it.")
    raise typer.Exit(Exit.FAILED if any("refused" in each for each in outcomes) else Exit.DONE)


def _letter_json(letter: Letter) -> dict[str, Any]:
    return {
        "id": letter.id,
        "queue": letter.queue,
        "fate": letter.fate,
        "reason": letter.reason,
        "sent": letter.sent.isoformat(),
        "filed": letter.filed.isoformat(),
        "message": dict(letter.message),
    }
