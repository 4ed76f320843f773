"""`penstock drop`: put files into the S3 drop folder, as any S3 client can."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from penstock.cli.exits import CommandError, Exit
from penstock.cli.local_run import tenant_or_local
from penstock.cli.printing import AsJson, print_json


def drop(
    paths: Annotated[list[Path], typer.Argument(help="The files to put there.", exists=True, dir_okay=False)],
    tenant: Annotated[
        str | None, typer.Option(envvar="PENSTOCK_TENANT", help="The tenant whose folder is used.")
    ] = None,
    source: Annotated[
        str, typer.Option(help="The folder inside the tenant's folder. It becomes the source of the documents.")
    ] = "cli",
    as_json: AsJson = False,
) -> None:
    """Put files into the S3 drop folder, from which they are added as documents. Uses your own AWS credentials.

    A file with the same name as an earlier one replaces its document.
    """
    owner = tenant_or_local(tenant)
    from penstock.adapters.aws.clients import aws_clients  # noqa: PLC0415 - boto3: not for --help
    from penstock.adapters.aws.failures import translated  # noqa: PLC0415
    from penstock.api.fields import MAX_SOURCE_CHARS, SOURCE_PATTERN  # noqa: PLC0415 - pydantic
    from penstock.domain.ids import derived_id, tenant_id  # noqa: PLC0415
    from penstock.settings import Settings  # noqa: PLC0415

    bucket = Settings.from_environment().bucket
    if not bucket:
        raise CommandError(
            "PENSTOCK_BUCKET is not set. Set it, or call this in the folder of a local run.", Exit.UNREACHABLE
        )
    if len(source) > MAX_SOURCE_CHARS or not re.fullmatch(SOURCE_PATTERN, source):
        raise CommandError(
            f"{source!r} is not a source: use up to {MAX_SOURCE_CHARS} letters, digits, spaces, '.', '_' and '-'.",
            Exit.USAGE,
        )
    s3 = aws_clients().s3
    dropped = []
    for path in paths:
        key = f"drop/{tenant_id(owner)}/{source}/{path.name}"
        with translated("S3"):
            s3.upload_file(str(path), bucket, key)
        dropped.append({"uri": f"s3://{bucket}/{key}", "document_id": derived_id(owner, key)})
    if as_json:
        print_json(dropped)
        return
    for each in dropped:
        typer.echo(f"{each['uri']} becomes document {each['document_id']}")
