"""`penstock keys`: an operator's commands for API keys. They use the table directly, not the API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from penstock.cli.exits import EXIT_CODES, CommandError
from penstock.cli.local_run import tenant_or_local
from penstock.cli.printing import AsJson, out, print_json
from penstock.documents.api_keys import create_key
from penstock.domain.ids import TenantId, tenant_id
from penstock.settings import Settings

if TYPE_CHECKING:
    from penstock.services import Services

keys = typer.Typer(
    no_args_is_help=True,
    help="Create, list and revoke API keys. Uses your own AWS credentials, and the settings PENSTOCK_TABLE and so on, "
    "or those of a local run.",
)

Tenant = Annotated[
    str | None,
    typer.Option(
        envvar="PENSTOCK_TENANT",
        help="The tenant of the keys. In the folder of a local run, the default is its tenant.",
    ),
]


@keys.command(epilog=EXIT_CODES)
def create(
    tenant: Tenant = None,
    label: Annotated[str, typer.Option(help="A note on what the key is for.")] = "",
    as_json: AsJson = False,
) -> None:
    """Create a key and print it. It cannot be shown again, because only its hash is stored."""
    services, owner = _services(tenant)
    key = create_key(services, owner, label)
    if as_json:
        print_json({"tenant": owner, "label": label, "key": key})
    else:
        typer.echo(key)
        typer.echo("Save this key now: it cannot be shown again.", err=True)


@keys.command("list", epilog=EXIT_CODES)
def list_keys(tenant: Tenant = None, as_json: AsJson = False) -> None:
    """List the keys of a tenant, without their secrets."""
    services, owner = _services(tenant)
    found = sorted(services.keys.of(owner), key=lambda key: key.created)
    if as_json:
        rows = [{"id": key.id, "label": key.label, "created": key.created.isoformat()} for key in found]
        print_json({"tenant": owner, "keys": rows})
        return
    table = Table("Id", "Label", "Created", box=None, header_style="bold", pad_edge=False)
    for key in found:
        table.add_row(*map(Text, (key.id, key.label, f"{key.created:%Y-%m-%d %H:%M:%S}")))
    out().print(table if found else f"{owner} has no keys.")


@keys.command(epilog=EXIT_CODES)
def revoke(
    key: Annotated[str, typer.Argument(help="The key's id, as `penstock keys list` shows it.")], tenant: Tenant = None
) -> None:
    """Revoke a key. An API process that used it a moment ago may accept it for ten more seconds."""
    services, owner = _services(tenant)
    if not services.keys.revoke(owner, key):
        raise CommandError(f"{owner} has no key {key!r}; `penstock keys list` shows them.")
    typer.echo(f"Revoked {key} of {owner}.")


def _services(tenant: str | None) -> tuple[Services, TenantId]:
    owner = tenant_id(tenant_or_local(tenant))
    from penstock.wiring import services  # noqa: PLC0415 - boto3: not for --help

    return services(Settings.from_environment()), owner
