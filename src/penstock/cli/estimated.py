"""Estimated: files read here, what they would become, and what that takes, by the settings and the dated prices."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock.adapters.embedders.openai import WINDOW_BYTES
from penstock.cli.printing import readable
from penstock.documents.file_names import accepted_type
from penstock.domain.errors import TypeNotAccepted
from penstock.domain.provider_budget import BYTES_PER_TOKEN
from penstock.operations.cost import Prices, Way, indirect_requests, listed_prices, requests_of
from penstock.operations.estimate import Estimate, estimate
from penstock.reading.sandbox.reader import ChildReader
from penstock.services import Limits
from penstock.settings import Settings

LOCAL = "wordllama"
_EXTRACT_GIGABYTES = 2.9375  # the memory of the extract function in template.yaml, 3,008 MB


@dataclass(frozen=True, slots=True)
class _File:
    """A file, what it would become, and what that takes. Of one that would fail, nothing is counted."""

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


def report(paths: Iterable[Path], *, model: str | None, direct: int) -> dict[str, Any]:
    """Each file and the total, as JSON has it.

    Args:
        model: to price; None for the one that is configured.
        direct: the most bytes of a file that goes by HTTPS.
    """
    settings, prices = Settings.from_environment(), listed_prices()
    chosen = model or _configured(settings)
    found = [
        _File(path, _estimate(settings, path, chosen), Way.HTTPS if path.stat().st_size <= direct else Way.UPLOAD)
        for path in paths
    ]
    files = [_told(each, each.dollars(prices, chosen)) for each in found]
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


def _configured(settings: Settings) -> str:
    return settings.openai_model if settings.chosen_embedder == "openai" else LOCAL


def _estimate(settings: Settings, path: Path, model: str) -> Estimate:
    try:
        accepted_type(readable(path.name), None, settings.accepted_types)
    except TypeNotAccepted as error:
        return Estimate(path.stat().st_size, problem=error)
    reader = ChildReader(settings.extract)
    limits = Limits(
        chunk_chars=settings.chunk_chars, overlap_chars=settings.overlap_chars, shard_chunks=settings.shard_chunks
    )
    return estimate(reader, path, limits, _fits(model))


def _fits(model: str) -> Callable[[str], bool]:
    if model == LOCAL:
        return lambda _: True
    return lambda text: len(text.encode("utf-8", "replace")) <= WINDOW_BYTES


def _told(file: _File, dollars: dict[str, float | None]) -> dict[str, Any]:
    guess = file.estimate
    problem = None if guess.problem is None else {"code": guess.problem.code, "message": str(guess.problem)}
    return {
        "file": readable(file.path),
        "bytes": guess.size,
        "kind": guess.kind,
        "way": file.way.value,
        "pages": guess.pages,
        "chunks": guess.chunks,
        "tokens": guess.tokens,
        "shards": guess.shards,
        "requests": round(file.requests, 3),
        "seconds": round(guess.seconds, 3),
        "dollars": dollars,
        "problem": problem,
    }
