"""`penstock estimate`: what files would take and cost, before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from penstock.adapters.embedders.openai import OpenAIEmbedder
from penstock.adapters.embedders.wordllama import WordllamaEmbedder
from penstock.cli.add import MAX_DIRECT_BYTES, files_in
from penstock.cli.exits import CommandError, Exit
from penstock.cli.printing import AsJson, out, print_json, readable
from penstock.documents.file_names import accepted_type
from penstock.domain.errors import TypeNotAccepted
from penstock.domain.provider_budget import BYTES_PER_TOKEN
from penstock.operations.cost import Prices, Way, indirect_requests, listed_prices, requests_of
from penstock.operations.estimate import Estimate
from penstock.operations.estimate import estimate as estimate_file
from penstock.ports import Embedder
from penstock.reading.sandbox.reader import ChildReader
from penstock.services import Limits
from penstock.settings import Settings

LOCAL = "wordllama"
"""The model that runs on this machine and costs nothing."""
_EXTRACT_GIGABYTES = 2.9375
"""The memory of the extract function in template.yaml: 3,008 MB."""


def estimate(
    paths: Annotated[
        list[Path], typer.Argument(exists=True, help="Files, and folders whose files are read, except hidden ones.")
    ],
    model: Annotated[
        str | None,
        typer.Option(
            help="The embedding model whose price is used; wordllama costs nothing. The default is the configured one."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Estimate the pages, chunks, tokens, requests and dollars of files. They are read here, without a server.

    The dollars follow from the list of prices in this version of Penstock. Texts that the index has already cost less,
    because they are not embedded again. Fixed costs, such as that of an OpenSearch domain, are not included.
    """
    files = list(files_in(paths))
    if not files:
        raise CommandError("There are no files at these paths.")
    found = report(files, model=model)
    if as_json:
        print_json(found)
    else:
        _print(found)
    if any(each["problem"] for each in found["files"]):
        raise typer.Exit(Exit.FAILED)


@dataclass(frozen=True, slots=True)
class _File:
    """A file with its estimate, and the way by which it would be added. A file that would fail costs nothing."""

    path: Path
    estimate: Estimate
    way: Way

    @property
    def requests(self) -> float:
        return 0 if self.estimate.problem else sum(requests_of(self.way, self.estimate.shards).values())

    def dollars(self, prices: Prices, model: str) -> dict[str, float | None]:
        if self.estimate.problem:
            return {"requests": 0.0, "compute": 0.0, "embedding": 0.0}
        shards = self.estimate.shards
        return {
            "requests": prices.of_requests(requests_of(self.way, shards))
            + prices.of_requests(indirect_requests(self.way, shards)),
            "compute": prices.of_lambda(self.estimate.seconds * _EXTRACT_GIGABYTES),
            "embedding": 0.0 if model == LOCAL else prices.of_tokens(model, self.estimate.tokens),
        }


def report(paths: Iterable[Path], *, model: str | None) -> dict[str, Any]:
    """The estimate of each file and the total, as `--json` prints them.

    Args:
        model: the model whose price is used. None takes the configured one.
    """
    settings, prices = Settings.from_environment(), listed_prices()
    chosen = model or _configured_model(settings)
    embedder = _embedder(settings, chosen)
    estimates = [_File(path, _estimate(settings, path, embedder), _way(path)) for path in paths]
    files = [_file_json(each, each.dollars(prices, chosen)) for each in estimates]
    sound = [each for each in files if each["problem"] is None]
    costs = [each["dollars"] for each in sound]
    total: dict[str, float | None] = {
        part: sum(each[part] or 0.0 for each in costs) for part in ("requests", "compute", "embedding")
    }
    if any(each["embedding"] is None for each in costs):
        total["embedding"] = None
    return {
        "files": files,
        "total": {
            "files": len(sound),
            **{name: sum(each[name] for each in sound) for name in ("pages", "chunks", "tokens", "requests")},
            "dollars": total,
        },
        "model": chosen,
        "prices": {"noted": prices.noted, "region": prices.region},
        "tokens_are": f"bytes of UTF-8 / {BYTES_PER_TOKEN}, overlaps included",
    }


def _configured_model(settings: Settings) -> str:
    return settings.openai_model if settings.chosen_embedder == "openai" else LOCAL


def _embedder(settings: Settings, model: str) -> Embedder:
    """The embedder whose window limits the chunks. It loads no model and needs no key until it embeds a text."""
    return WordllamaEmbedder() if model == LOCAL else OpenAIEmbedder(model, settings.openai_dimensions)


def _way(path: Path) -> Way:
    return Way.HTTPS if path.stat().st_size <= MAX_DIRECT_BYTES else Way.UPLOAD


def _estimate(settings: Settings, path: Path, embedder: Embedder) -> Estimate:
    try:
        accepted_type(readable(path.name), None, settings.accepted_types)
    except TypeNotAccepted as error:
        return Estimate(path.stat().st_size, problem=error)
    reader = ChildReader(settings.extract)
    limits = Limits(
        chunk_chars=settings.chunk_chars, overlap_chars=settings.overlap_chars, shard_chunks=settings.shard_chunks
    )
    return estimate_file(reader, path, limits, embedder.fits)


def _file_json(file: _File, dollars: dict[str, float | None]) -> dict[str, Any]:
    found = file.estimate
    problem = None if found.problem is None else {"code": found.problem.code, "message": str(found.problem)}
    return {
        "file": readable(file.path),
        "bytes": found.size,
        "kind": found.kind,
        "way": file.way.value,
        "pages": found.pages,
        "chunks": found.chunks,
        "tokens": found.tokens,
        "shards": found.shards,
        "requests": round(file.requests, 3),
        "seconds": round(found.seconds, 3),
        "dollars": dollars,
        "problem": problem,
    }


def _print(report: dict[str, Any]) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("File", "Pages", "Chunks", "Tokens", "Requests", "Dollars"):
        table.add_column(column, overflow="fold", justify="left" if column == "File" else "right")
    total = {**report["total"], "file": f"in all: {report['total']['files']}"}
    for each in (*report["files"], total):
        cells = [f"{each[name]:,.0f}" for name in ("pages", "chunks", "tokens", "requests")]
        table.add_row(Text(each["file"]), *cells, f"{sum(part or 0.0 for part in each['dollars'].values()):.6f}")
    console = out()
    console.print(table)
    for each in report["files"]:
        if each["problem"]:
            console.print(Text.assemble((f"{each['file']}: ", "bold"), "would fail: ", each["problem"]["message"]))
    parts = report["total"]["dollars"]
    embedding = "no price listed" if parts["embedding"] is None else f"${parts['embedding']:.6f}"
    console.print(
        f"Requests ${parts['requests']:.6f}, compute ${parts['compute']:.6f} (the time that it took here, priced as "
        f"Lambda), embedding {embedding} ({report['model']}).\n"
        f"Prices of {report['prices']['region']} on {report['prices']['noted']}; tokens are {report['tokens_are']}.",
        markup=False,
    )
