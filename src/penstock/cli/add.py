"""`penstock add`: upload files and folders, and wait until they are searchable."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress

from penstock.cli.archive_members import with_members
from penstock.cli.client import Api, ApiProblem, bucket_client, connected
from penstock.cli.exits import CommandError, Exit
from penstock.cli.local_run import address
from penstock.cli.outcome import Outcome, exit_code, of_task, outcomes_json, print_outcomes
from penstock.cli.per_document import Timeout
from penstock.cli.printing import AsJson, out, print_json, readable
from penstock.cli.progress_bars import DocumentBars, progress_bars, shortened
from penstock.cli.waiting import wait_for
from penstock.domain.errors import SendByUpload
from penstock.domain.task import Lane

MAX_DIRECT_BYTES = 4_000_000
"""The maximum size of a file that is sent to the API. Larger files are sent to the bucket, because API Gateway accepts
no more for an API in Lambda."""
_TOO_LARGE = 413


def add(
    paths: Annotated[
        list[Path], typer.Argument(exists=True, help="Files, and folders whose files are added, except hidden ones.")
    ],
    *,
    document_id: Annotated[
        str | None,
        typer.Option(
            "--id",
            help="The id that the document gets; allowed with one file only. A document with this id is replaced.",
        ),
    ] = None,
    source: Annotated[
        str, typer.Option(help="Where the documents come from. Search and lists can filter by it.")
    ] = "api",
    lane: Annotated[
        Lane,
        typer.Option(help="The priority. Each lane has its own capacity, so a full lane does not delay the others."),
    ] = Lane.STANDARD,
    metadata: Annotated[
        list[str] | None,
        typer.Option(
            "--meta", metavar="NAME=VALUE", help="Metadata of each document. Search can filter by it. May be repeated."
        ),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait until each document is searchable or has failed.")
    ] = True,
    timeout: Timeout = 3600,
    as_json: AsJson = False,
) -> None:
    """Add files, or all files of folders, and wait until they are searchable.

    Files of more than 4 MB (PENSTOCK_MAX_DIRECT_BYTES) are hashed, and sent to the bucket instead of the API.

    With PENSTOCK_EAGER=1, the whole pipeline runs in this process, without an API and a worker, for use with a
    debugger.
    """
    files = list(files_in(paths))
    if not files:
        raise CommandError("There are no files at these paths.")
    if document_id is not None and len(files) > 1:
        raise CommandError(f"--id is allowed with one file only, and there are {len(files)}.", Exit.USAGE)
    fields = _parsed_metadata(metadata or [])
    if os.environ.get("PENSTOCK_EAGER", "0") not in {"", "0"}:
        from penstock.cli.eager import eager_add  # noqa: PLC0415 - imports boto3, which the other way does not need

        outcomes = eager_add(files, document=document_id, source=source, lane=lane, metadata=fields)
    else:
        form = _form(document_id, source, lane, fields)
        outcomes = _add_by_api(files, form, timeout if wait else None, quiet=as_json)
    if as_json:
        print_json(outcomes_json(outcomes))
    else:
        print_outcomes(out(), outcomes)
    raise typer.Exit(exit_code(outcomes))


def files_in(paths: Sequence[Path]) -> Iterator[Path]:
    """The files among these paths, and all files of the folders among them, in order. Hidden files are left out unless
    they are among the paths themselves."""
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        for folder, folders, names in os.walk(path):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            inside = (Path(folder) / name for name in sorted(names) if not name.startswith("."))
            yield from (file for file in inside if file.is_file())


def _form(document_id: str | None, source: str, lane: Lane, metadata: Mapping[str, str]) -> dict[str, object]:
    form: dict[str, object] = {"source": source, "lane": lane.value, "metadata": dict(metadata)}
    return form | ({"document_id": document_id} if document_id is not None else {})


def _parsed_metadata(metadata: Sequence[str]) -> dict[str, str]:
    parsed = {}
    for each in metadata:
        name, equals, value = readable(each).partition("=")
        if not name or not equals:
            raise CommandError(f"Write --meta as NAME=VALUE; {each!r} is not of this form.", Exit.USAGE)
        parsed[name] = value
    return parsed


def _add_by_api(
    files: Sequence[Path], form: Mapping[str, object], seconds: float | None, *, quiet: bool
) -> list[Outcome]:
    """Upload the files one after the other, and wait for their tasks. `seconds` None does not wait."""
    with connected(address()) as api, progress_bars(quiet) as bars:
        uploaded = _upload(api, bars, files, form)
        waiting: dict[str, str] = {}
        for file, outcome in uploaded:
            if outcome.task_id is not None:
                waiting.setdefault(outcome.task_id, file.name)
        if seconds is None:
            return [outcome for _, outcome in uploaded]
        rows = DocumentBars(bars, waiting)
        deadline = time.monotonic() + seconds
        tasks = wait_for(api, waiting, seconds, rows.show)
        outcomes = [
            outcome
            if outcome.task_id is None
            else of_task(outcome.file, tasks[outcome.task_id], already_here=outcome.already_here)
            for _, outcome in uploaded
        ]
        return with_members(api, outcomes, deadline)


def _upload(api: Api, bars: Progress, files: Sequence[Path], form: Mapping[str, object]) -> list[tuple[Path, Outcome]]:
    bar = bars.add_task("uploading", total=sum(file.stat().st_size for file in files), unit="bytes")
    uploaded: list[tuple[Path, Outcome]] = []
    done = 0
    for file in files:
        bars.update(bar, description=f"uploading {shortened(file.name)}")
        try:
            added = _send(api, file, form, lambda sent: bars.advance(bar, sent))
        except (ApiProblem, OSError) as error:
            problem = error.problem if isinstance(error, ApiProblem) else {"code": "unreadable_file"}
            outcome = Outcome(readable(file), "refused", code=problem.get("code"), message=str(error))
        else:
            outcome = Outcome(readable(file), "accepted", added["document_id"], added["task_id"], added["already_here"])
        done += file.stat().st_size if file.exists() else 0
        bars.update(bar, completed=done)  # a file may have been sent twice, or only in part
        uploaded.append((file, outcome))
    bars.update(bar, description="uploaded")
    return uploaded


def _send(api: Api, file: Path, form: Mapping[str, object], sent: Callable[[int], object]) -> dict[str, Any]:
    """Send a file to the API if it is small enough; if it is not, or if the API says so, to the bucket.

    Raises:
        ApiProblem: the file was not accepted. The message says why.
    """
    if file.stat().st_size <= int(os.environ.get("PENSTOCK_MAX_DIRECT_BYTES") or MAX_DIRECT_BYTES):
        metadata = json.dumps(form["metadata"], ensure_ascii=False)
        texts = {name: str(value) for name, value in form.items()} | {"metadata": metadata}
        try:
            return api.add(file, texts, sent)
        except ApiProblem as error:
            # An answer without a code comes from something in front of the API.
            if error.status != _TOO_LARGE or error.problem.get("code") not in {None, SendByUpload.code}:
                raise
    with bucket_client() as bucket:
        return api.add_by_upload(file, form, sent, bucket)
