"""`penstock doctor`: compares table, bucket and index, and mends what they disagree about; an operator's command."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import orjson
import typer
from rich.text import Text

from penstock.cli.exits import Exit
from penstock.cli.operator_services import operators_services
from penstock.cli.printing import out
from penstock.domain.errors import PenstockError, Transient
from penstock.domain.ids import TenantId, tenant_id

if TYPE_CHECKING:
    from penstock.services import Services


def doctor(
    tenant: Annotated[
        str | None, typer.Option(envvar="PENSTOCK_TENANT", help="Whose; without it, those of all tenants.")
    ] = None,
    fix: Annotated[bool, typer.Option("--fix", help="Do what is said; without this, nothing is changed.")] = False,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print JSON for programs: a line for each finding, and one after each tenant."),
    ] = False,
) -> None:
    """Look whether documents, objects and chunks fit together: documents without objects, objects without documents,
    chunks that no reader sees, counts that are not the receipt's, work that nobody does. Says of each what it would do;
    with --fix, does it, by the same ways as anybody else. With the operator's own AWS credentials.

    Ends with 1 where something is wrong and was not mended. Other commands may run meanwhile.
    """
    asked = tenant_id(tenant) if tenant else None
    services = operators_services()
    from penstock.operations.doctor.examine import all_tenants  # noqa: PLC0415 - boto3 and numpy: not for --help

    tenants = [asked] if asked else all_tenants(services)
    if not tenants and not as_json:
        out().print("There are no documents and no objects of any tenant.")
    well = [_see_to(services, each, fix=fix, as_json=as_json) for each in tenants]
    raise typer.Exit(Exit.DONE if all(well) else Exit.FAILED)


def _see_to(services: Services, tenant: TenantId, *, fix: bool, as_json: bool) -> bool:
    """Whether nothing is wrong with this tenant's, or not any more."""
    from penstock.operations.doctor.examine import examine  # noqa: PLC0415 - see above

    found: Counter[str] = Counter()
    mended = 0
    for finding in examine(services, tenant):
        found[finding.kind.value] += 1
        if not as_json:
            would = finding.remedy and f" {'Now' if fix else 'Would'}: {finding.remedy}."
            out().print(Text(f"{finding.kind}  {finding.document}: {finding.what}.{would or ''}"))
        refusal = None
        if fix and finding.remedy:
            try:
                finding.repair()
                mended += 1
            except Transient:
                raise  # the next would fare no better
            except PenstockError as error:
                refusal = str(error)
        if as_json:
            said = {"kind": finding.kind, "document": finding.document, "what": finding.what, "remedy": finding.remedy}
            done = {"mended": fix and bool(finding.remedy) and refusal is None, "refused": refusal}
            _line({"tenant": tenant, **said, **done})
        elif refusal:
            out().print(Text(f"  not mended: {refusal}", "red"))
    total = sum(found.values())
    if as_json:
        _line({"tenant": tenant, "findings": total, "mended": mended, "kinds": dict(found)})
    else:
        kinds = ", ".join(f"{number} {kind}" for kind, number in found.items())
        out().print(f"{tenant}: {total} findings ({kinds}), {mended} mended." if total else f"{tenant}: all is well.")
    return total == mended


def _line(told: Mapping[str, object]) -> None:
    typer.echo(orjson.dumps(told).decode())
