"""`penstock keys`: an operator's commands; they act on the table, not through the API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from penstock.cli.exits import EXIT_CODES, Stop
from penstock.cli.local_run import tenant_or_local
from penstock.cli.printing import JSON_HELP, out, print_json
from penstock.documents.api_keys import create_key
from penstock.domain.ids import TenantId, tenant_id
from penstock.settings import Settings

if TYPE_CHECKING:
    from penstock.services import Services

keys = typer.Typer(
    no_args_is_help=True,
    help="Make, list and revoke API keys, with the operator's own AWS credentials (PENSTOCK_TABLE and the like, or a "
    "local run's).",
)

Tenant = Annotated[
    str | None, typer.Option(envvar="PENSTOCK_TENANT", help="Whose; in the folder of a local run: its own.")
]
AsJson = Annotated[bool, typer.Option("--json", help=JSON_HELP)]


@keys.command(epilog=EXIT_CODES)
def create(
    tenant: Tenant = None,
    label: Annotated[str, typer.Option(help="What it is for.")] = "",
    as_json: AsJson = False,
) -> None:
    """Make a key, and show it: this once, as only its hash is stored."""
    services, whose = _services(tenant)
    key = create_key(services, whose, label)
    if as_json:
        print_json({"tenant": whose, "label": label, "key": key})
    else:
        typer.echo(key)
        typer.echo("Keep it now: it cannot be shown again.", err=True)


@keys.command("list", epilog=EXIT_CODES)
def list_keys(tenant: Tenant = None, as_json: AsJson = False) -> None:
    """A tenant's keys, without their secrets."""
    services, whose = _services(tenant)
    found = sorted(services.keys.of(whose), key=lambda key: key.created)
    if as_json:
        rows = [{"id": key.id, "label": key.label, "created": key.created.isoformat()} for key in found]
        print_json({"tenant": whose, "keys": rows})
        return
    table = Table("Id", "Label", "Created", box=None, header_style="bold", pad_edge=False)
    for key in found:
        table.add_row(*map(Text, (key.id, key.label, f"{key.created:%Y-%m-%d %H:%M:%S}")))
    out().print(table if found else f"{whose} has no keys.")


@keys.command(epilog=EXIT_CODES)
def revoke(
    key: Annotated[str, typer.Argument(help="The key's id, as `penstock keys list` shows it.")], tenant: Tenant = None
) -> None:
    """Let a key in no more. An API process that knows it may do so for ten more seconds."""
    services, whose = _services(tenant)
    if not services.keys.revoke(whose, key):
        raise Stop(f"{whose} has no key {key!r}; `penstock keys list` shows them.")
    typer.echo(f"Revoked {key} of {whose}.")


def _services(tenant: str | None) -> tuple[Services, TenantId]:
    whose = tenant_id(tenant_or_local(tenant))
    from penstock.wiring import services  # noqa: PLC0415 - boto3: not for --help

    return services(Settings.from_environment()), whose
