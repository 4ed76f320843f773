"""`penstock doctor`: an operator's command that compares table, bucket and index, and repairs their differences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import orjson
import typer
from rich.text import Text

from penstock.cli.exits import Exit
from penstock.cli.operator_services import operator_services
from penstock.cli.printing import counted, out
from penstock.domain.errors import PenstockError, Transient
from penstock.domain.ids import TenantId, tenant_id

if TYPE_CHECKING:
    from penstock.services import Services


def doctor(
    tenant: Annotated[
        str | None,
        typer.Option(envvar="PENSTOCK_TENANT", help="The tenant whose documents are checked. Without it, all tenants."),
    ] = None,
    fix: Annotated[
        bool, typer.Option("--fix", help="Repair what is wrong. Without this option, nothing is changed.")
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print JSON, for programs: a line for each finding, and a line after each tenant."),
    ] = False,
) -> None:
    """Check that documents, objects and chunks agree, and repair them with --fix.

    It finds documents without objects, objects without documents, chunks that no reader sees, counts that differ from
    the receipt, and work that has stalled. For each finding it prints what it would do; with --fix it does that. It
    uses your own AWS credentials.

    The exit code is 1 if something is wrong and was not repaired. Other commands may run at the same time.
    """
    chosen = tenant_id(tenant) if tenant else None
    services = operator_services()
    from penstock.operations.doctor.examine import all_tenants  # noqa: PLC0415 - boto3 and numpy: not for --help

    tenants = [chosen] if chosen else all_tenants(services)
    if not tenants and not as_json:
        out().print("No tenant has any documents or objects.")
    healthy = [_check_tenant(services, each, fix=fix, as_json=as_json) for each in tenants]
    raise typer.Exit(Exit.DONE if all(healthy) else Exit.FAILED)


def _check_tenant(services: Services, tenant: TenantId, *, fix: bool, as_json: bool) -> bool:
    """Print the findings about this tenant, and repair them if `fix` is set. True if nothing is wrong any more."""
    from penstock.operations.doctor.examine import examine  # noqa: PLC0415 - see above

    found: Counter[str] = Counter()
    repaired = 0
    for finding in examine(services, tenant):
        found[finding.kind.value] += 1
        if not as_json:
            would = finding.remedy and f" {'Now' if fix else 'Would'}: {finding.remedy}."
            out().print(Text(f"{finding.kind}  {finding.document}: {finding.what}.{would or ''}"))
        refusal = None
        if fix and finding.remedy:
            try:
                finding.repair()
                repaired += 1
            except Transient:
                raise  # the next finding would fail in the same way
            except PenstockError as error:
                refusal = str(error)
        if as_json:
            fields = {
                "kind": finding.kind,
                "document": finding.document,
                "what": finding.what,
                "remedy": finding.remedy,
            }
            outcome = {"mended": fix and bool(finding.remedy) and refusal is None, "refused": refusal}
            _line({"tenant": tenant, **fields, **outcome})
        elif refusal:
            out().print(Text(f"  not repaired: {refusal}", "red"))
    total = sum(found.values())
    if as_json:
        _line({"tenant": tenant, "findings": total, "mended": repaired, "kinds": dict(found)})
    else:
        out().print(
            f"{tenant}: {total} findings ({counted(found)}), {repaired} repaired."
            if total
            else f"{tenant}: nothing is wrong."
        )
    return total == repaired


def _line(fields: Mapping[str, object]) -> None:
    typer.echo(orjson.dumps(fields).decode())
