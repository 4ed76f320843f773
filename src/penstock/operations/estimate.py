"""Estimate: read and cut a file here as a worker would, and say what it would become. Nothing is sent anywhere."""

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
    """What one file would become."""

    size: int
    """The size of the file, in bytes."""
    kind: str = ""
    pages: int = 0
    """The number of pages; of parts, if the format has no pages."""
    chunks: int = 0
    tokens: int = 0
    """The number of tokens in the chunks, overlaps included; see BYTES_PER_TOKEN. Texts of which the index has a vector
    already are counted too, although they are not embedded again."""
    shards: int = 0
    seconds: float = 0.0
    """The time that reading and cutting took on this machine, in seconds."""
    problem: Permanent | None = None
    """The error with which the file would fail."""


def estimate(reader: Reader, path: Path, limits: Limits, fits: Callable[[str], bool]) -> Estimate:
    """Read and cut the file at this path.

    Args:
        fits: whether the embedder accepts this text as one input.

    Raises:
        Transient: no child process could be started.
    """
    started, size = time.perf_counter(), path.stat().st_size
    counter = _PageCounter()
    chunks = text_bytes = 0
    try:
        with reader.read(path, name=path.name, declared=None) as reading:
            for chunk in split(
                counter.count(reading), largest=limits.chunk_chars, overlap=limits.overlap_chars, fits=fits
            ):
                chunks += 1
                text_bytes += len(chunk.text.encode("utf-8", "replace"))
            kind = reading.kind
    except Permanent as error:
        return Estimate(size, pages=counter.pages, seconds=time.perf_counter() - started, problem=error)
    return Estimate(
        size,
        kind,
        counter.pages,
        chunks,
        tokens=-(-text_bytes // BYTES_PER_TOKEN),
        shards=max(1, -(-chunks // limits.shard_chunks)),
        seconds=time.perf_counter() - started,
    )


@dataclass(slots=True)
class _PageCounter:
    pages: int = 0

    def count(self, reading: Reading) -> Iterator[Page]:
        for page in reading:
            self.pages += 1
            yield page
