"""`penstock drop`: put files into the S3 drop folder, as any S3 client could."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from penstock.cli.exits import Exit, Stop
from penstock.cli.local_run import tenant_or_local
from penstock.cli.printing import JSON_HELP, print_json

_SOURCE = re.compile(r"\w[\w .-]{0,63}")


def drop(
    paths: Annotated[list[Path], typer.Argument(help="Files.", exists=True, dir_okay=False)],
    tenant: Annotated[str | None, typer.Option(envvar="PENSTOCK_TENANT", help="Whose folder.")] = None,
    source: Annotated[str, typer.Option(help="The folder below the tenant's.")] = "cli",
    as_json: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False,
) -> None:
    """Put files into the S3 drop folder, with the operator's own AWS credentials. The same name again replaces."""
    whose = tenant_or_local(tenant)
    from penstock.adapters.aws.clients import aws_clients  # noqa: PLC0415 - boto3: not for --help
    from penstock.adapters.aws.failures import translated  # noqa: PLC0415
    from penstock.domain.ids import derived_id, tenant_id  # noqa: PLC0415
    from penstock.settings import Settings  # noqa: PLC0415

    bucket = Settings.from_environment().bucket
    if not bucket:
        raise Stop("PENSTOCK_BUCKET is not set. Set it, or call this in the folder of a local run.", Exit.UNREACHABLE)
    if not _SOURCE.fullmatch(source):
        raise Stop(f"{source!r} is no source: use up to 64 letters, digits, spaces, '.', '_' and '-'.", Exit.USAGE)
    s3 = aws_clients().s3
    dropped = []
    for path in paths:
        key = f"drop/{tenant_id(whose)}/{source}/{path.name}"
        with translated("S3"):
            s3.upload_file(str(path), bucket, key)
        dropped.append({"uri": f"s3://{bucket}/{key}", "document_id": derived_id(whose, key)})
    if as_json:
        print_json(dropped)
        return
    for each in dropped:
        typer.echo(f"{each['uri']} becomes document {each['document_id']}")
