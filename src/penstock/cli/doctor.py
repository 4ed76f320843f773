"""`penstock doctor`: compares table, bucket and index, and mends what they disagree about; an operator's command."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import orjson
import typer
from rich.text import Text

from penstock.cli.local_run import tenant_or_local
from penstock.cli.operator import operators_services
from penstock.cli.printing import out
from penstock.cli.stop import Exit
from penstock.document import tenant_id
from penstock.errors import PenstockError, Transient


def doctor(
    tenant: Annotated[
        str | None, typer.Option(envvar="PENSTOCK_TENANT", help="Whose; in the folder of a local run: its own.")
    ] = None,
    fix: Annotated[bool, typer.Option("--fix", help="Do what is said; without this, nothing is changed.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON for programs: a line for each finding, one in the end.")
    ] = False,
) -> None:
    """Look whether a tenant's documents, objects and chunks fit together: documents without objects, objects without
    documents, chunks that no reader sees, counts that are not the receipt's, work that nobody does. Says of each what
    it would do; with --fix, does it, by the same ways as anybody else. With the operator's own AWS credentials.

    Ends with 1 where something is wrong and was not mended. Other commands may run meanwhile.
    """
    whose = tenant_id(tenant_or_local(tenant))
    services = operators_services()
    from penstock.doctor import examine  # noqa: PLC0415 - boto3 and numpy: not for --help

    found: Counter[str] = Counter()
    mended = 0
    for finding in examine(services, whose):
        found[finding.kind.value] += 1
        if not as_json:
            would = finding.remedy and f" {'Now' if fix else 'Would'}: {finding.remedy}."
            out().print(Text(f"{finding.kind}  {finding.document}: {finding.what}.{would or ''}"))
        refusal = None
        if fix and finding.remedy:
            try:
                finding.mend()
                mended += 1
            except Transient:
                raise  # the next would fare no better
            except PenstockError as error:
                refusal = str(error)
        if as_json:
            told = {"kind": finding.kind, "document": finding.document, "what": finding.what, "remedy": finding.remedy}
            _line(told | {"mended": fix and bool(finding.remedy) and refusal is None, "refused": refusal})
        elif refusal:
            out().print(Text(f"  not mended: {refusal}", "red"))
    total = sum(found.values())
    if as_json:
        _line({"tenant": whose, "findings": total, "mended": mended, "kinds": dict(found)})
    else:
        kinds = ", ".join(f"{number} {kind}" for kind, number in found.items())
        out().print(f"{whose}: {total} findings ({kinds}), {mended} mended." if total else f"{whose}: all is well.")
    raise typer.Exit(Exit.DONE if total == mended else Exit.FAILED)


def _line(told: dict[str, object]) -> None:
    typer.echo(orjson.dumps(told).decode())
