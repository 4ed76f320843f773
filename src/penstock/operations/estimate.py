"""Estimate: what a file would become, read and cut here as a worker would, with nothing sent anywhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from penstock.domain.chunk import Page
from penstock.domain.errors import Permanent
from penstock.domain.provider_budget import BYTES_PER_TOKEN
from penstock.pipeline.split import split
from penstock.ports import Reader, Reading
from penstock.services import Limits


@dataclass(frozen=True, slots=True)
class Estimate:
    """Of one file."""

    size: int
    kind: str = ""
    pages: int = 0
    """Parts, where the format has no pages."""
    chunks: int = 0
    tokens: int = 0
    """To be embedded, overlaps included; see BYTES_PER_TOKEN. Texts that the index knows already are not."""
    shards: int = 0
    seconds: float = 0.0
    """That reading and cutting took here."""
    problem: Permanent | None = None
    """Why it would fail."""


def estimate(reader: Reader, path: Path, limits: Limits, fits: Callable[[str], bool]) -> Estimate:
    """
    Args:
        fits: what the embedder takes as one text.

    Raises:
        Transient: no child process could be started.
    """
    began, size = time.perf_counter(), path.stat().st_size
    counted = _Counted()
    chunks = texts = 0
    try:
        with reader.read(path, name=path.name, declared=None) as reading:
            for chunk in split(
                counted.pages_of(reading), largest=limits.chunk_chars, overlap=limits.overlap_chars, fits=fits
            ):
                chunks += 1
                texts += len(chunk.text.encode("utf-8", "replace"))
            kind = reading.kind
    except Permanent as error:
        return Estimate(size, pages=counted.pages, seconds=time.perf_counter() - began, problem=error)
    return Estimate(
        size,
        kind,
        counted.pages,
        chunks,
        tokens=-(-texts // BYTES_PER_TOKEN),
        shards=max(1, -(-chunks // limits.shard_chunks)),
        seconds=time.perf_counter() - began,
    )


@dataclass(slots=True)
class _Counted:
    pages: int = 0

    def pages_of(self, reading: Reading) -> Iterator[Page]:
        for page in reading:
            self.pages += 1
            yield page
