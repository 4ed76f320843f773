"""`penstock add`: upload files and folders, and follow them until they can be found."""

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
from penstock.cli.client import Api, Refused, connected, to_the_bucket
from penstock.cli.exits import Exit, Stop
from penstock.cli.local_run import address
from penstock.cli.outcome import Outcome, as_json, exit_code, of_task, print_outcomes
from penstock.cli.printing import JSON_HELP, out, print_json, readable
from penstock.cli.progress_bars import DocumentBars, bars_of, short
from penstock.cli.waiting import wait_for
from penstock.domain.errors import SendByUpload
from penstock.domain.task import Lane

DIRECT = 4_000_000
"""Bytes. Larger files go to the bucket by themselves: what stands before an API in Lambda takes no more."""
_TOO_LARGE = 413


def add(
    paths: Annotated[
        list[Path], typer.Argument(exists=True, help="Files; folders with all that is in them, hidden files apart.")
    ],
    *,
    document_id: Annotated[
        str | None, typer.Option("--id", help="The document's id, with one file: what is there already is replaced.")
    ] = None,
    source: Annotated[str, typer.Option(help="Where they come from; search can filter by it.")] = "api",
    lane: Annotated[Lane, typer.Option(help="Their priority.")] = Lane.STANDARD,
    metadata: Annotated[
        list[str] | None, typer.Option("--meta", metavar="NAME=VALUE", help="Kept with each; may be repeated.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Until each is searchable, or has failed.")] = True,
    timeout: Annotated[float, typer.Option(min=0, help="The longest to wait, in seconds.")] = 3600,
    json_out: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False,
) -> None:
    """Add files, or all files of folders, and follow them until they can be found.

    Files of more than 4 MB (PENSTOCK_MAX_DIRECT_BYTES) are hashed, and sent to the bucket itself.

    With PENSTOCK_EAGER=1 the whole pipeline runs in this process, without API and worker, for a debugger.
    """
    files = list(files_in(paths))
    if not files:
        raise Stop("There is no file in what was named.")
    if document_id is not None and len(files) > 1:
        raise Stop(f"--id goes with one file; there are {len(files)}.", Exit.USAGE)
    fields = _pairs(metadata or [])
    if os.environ.get("PENSTOCK_EAGER", "0") not in {"", "0"}:
        from penstock.cli.eager import eager_add  # noqa: PLC0415 - imports boto3, which others need not wait for

        outcomes = eager_add(files, document=document_id, source=source, lane=lane, metadata=fields)
    else:
        about = _about(document_id, source, lane, fields)
        outcomes = _add_by_api(files, about, timeout if wait else None, quiet=json_out)
    if json_out:
        print_json(as_json(outcomes))
    else:
        print_outcomes(out(), outcomes)
    raise typer.Exit(exit_code(outcomes))


def files_in(paths: Sequence[Path]) -> Iterator[Path]:
    """The files among these paths, and under the folders among them in order; hidden ones only where they are named."""
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        for folder, folders, names in os.walk(path):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            inside = (Path(folder) / name for name in sorted(names) if not name.startswith("."))
            yield from (file for file in inside if file.is_file())


def _about(document_id: str | None, source: str, lane: Lane, metadata: Mapping[str, str]) -> dict[str, object]:
    about: dict[str, object] = {"source": source, "lane": lane.value, "metadata": dict(metadata)}
    return about | ({"document_id": document_id} if document_id is not None else {})


def _pairs(metadata: Sequence[str]) -> dict[str, str]:
    pairs = {}
    for each in metadata:
        name, equals, value = readable(each).partition("=")
        if not name or not equals:
            raise Stop(f"--meta is NAME=VALUE; {each!r} is not.", Exit.USAGE)
        pairs[name] = value
    return pairs


def _add_by_api(
    files: Sequence[Path], about: Mapping[str, object], seconds: float | None, *, quiet: bool
) -> list[Outcome]:
    """Upload one after the other, while the first are worked on already; then wait, unless `seconds` is None."""
    with connected(address()) as api, bars_of(quiet) as bars:
        entered = _upload(api, bars, files, about)
        waiting: dict[str, str] = {}
        for file, outcome in entered:
            if outcome.task_id is not None:
                waiting.setdefault(outcome.task_id, file.name)
        if seconds is None:
            return [outcome for _, outcome in entered]
        rows = DocumentBars(bars, waiting)
        deadline = time.monotonic() + seconds
        ended = wait_for(api, waiting, seconds, rows.show)
        outcomes = [
            outcome
            if outcome.task_id is None
            else of_task(outcome.file, ended[outcome.task_id], already_here=outcome.already_here)
            for _, outcome in entered
        ]
        return with_members(api, outcomes, deadline)


def _upload(api: Api, bars: Progress, files: Sequence[Path], about: Mapping[str, object]) -> list[tuple[Path, Outcome]]:
    bar = bars.add_task("uploading", total=sum(file.stat().st_size for file in files), unit="bytes")
    entered: list[tuple[Path, Outcome]] = []
    done = 0
    for file in files:
        bars.update(bar, description=f"uploading {short(file.name)}")
        try:
            added = _send(api, file, about, lambda sent: bars.advance(bar, sent))
        except (Refused, OSError) as error:
            problem = error.problem if isinstance(error, Refused) else {"code": "unreadable_file"}
            outcome = Outcome(readable(file), "refused", code=problem.get("code"), message=str(error))
        else:
            outcome = Outcome(readable(file), "accepted", added["document_id"], added["task_id"], added["already_here"])
        done += file.stat().st_size if file.exists() else 0
        bars.update(bar, completed=done)  # where a file was sent twice, or not to its end
        entered.append((file, outcome))
    bars.update(bar, description="uploaded")
    return entered


def _send(api: Api, file: Path, about: Mapping[str, object], sent: Callable[[int], object]) -> dict[str, Any]:
    """By the API if it is small enough, as far as is known here or as the API says; else to the bucket.

    Raises:
        Refused: the file was not accepted; why.
    """
    if file.stat().st_size <= int(os.environ.get("PENSTOCK_MAX_DIRECT_BYTES") or DIRECT):
        metadata = json.dumps(about["metadata"], ensure_ascii=False)
        form = {name: str(value) for name, value in about.items()} | {"metadata": metadata}
        try:
            return api.add(file, form, sent)
        except Refused as error:
            # Without a code, something before the API has answered in its place.
            if error.status != _TOO_LARGE or error.problem.get("code") not in {None, SendByUpload.code}:
                raise
    with to_the_bucket() as bucket:
        return api.add_by_upload(file, about, sent, bucket)
