"""Text on its way: pages as they are read, chunks as they are cut, entries as they are indexed, candidates as found."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NewType, TypeAlias

from penstock.domain.ids import BuildId, DocumentId

if TYPE_CHECKING:  # numpy takes 0.2 s to import, and only code that makes or compares vectors needs it
    import numpy as np
    import numpy.typing as npt

Vector: TypeAlias = "npt.NDArray[np.float32]"
"""An array of float32, of shape (dimensions,)."""

TextHash = NewType("TextHash", str)


@dataclass(frozen=True, slots=True)
class Section:
    """The headings that the text of a page stands under, from `offset` characters on; the outermost heading is
    first."""

    offset: int
    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """One page of text in reading order. Where a format has no pages, it is the next part of the text."""

    number: int
    """The number of the page, counted from 1."""
    text: str
    sections: tuple[Section, ...] = ()
    problem: str | None = None
    """Why the page could not be read; None where it was read."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A span of text of a document, cited by the pages it stands on, from the first to the last."""

    ordinal: int
    text: str
    first_page: int
    last_page: int
    section: tuple[str, ...] = ()
    breaks: tuple[tuple[int, int], ...] = ()
    """Where each page after the first begins: the offset into the text in characters, and the number of the page."""

    def by_page(self) -> list[tuple[int, str]]:
        """The number of each page, and the part of the text that stands on it."""
        begins = [(0, self.first_page), *self.breaks]
        ends = [offset for offset, _ in self.breaks] + [len(self.text)]
        return [(page, self.text[offset:end]) for (offset, page), end in zip(begins, ends, strict=True)]


@dataclass(frozen=True, slots=True)
class Cut:
    """A place after a chunk where cutting can continue. The next run reads from `page` on, and makes the same chunks as
    one run over the whole file would have made."""

    page: int
    offset: int
    """The number of characters from the start of that page to the core of the next chunk. (The core of a chunk is the
    chunk without the overlap.)"""
    pieces: int
    """The number of chunks that were cut from that core already. It is 0 unless the core was too large for the
    embedder."""
    ordinal: int
    """The ordinal of the next chunk."""


@dataclass(frozen=True, slots=True)
class Space:
    """A space of vectors that can be compared with each other: those of one model, with one number of dimensions."""

    model: str
    dimensions: int

    def __str__(self) -> str:
        return f"{self.model} ({self.dimensions} dimensions)"

    def text_hash(self, text: str) -> TextHash:
        """The hash that the vector of a text is found by: the sha256 of model, dimensions and text."""
        return TextHash(hashlib.sha256(f"{self.model}\0{self.dimensions}\0{text}".encode()).hexdigest())


@dataclass(frozen=True, slots=True)
class Entry:
    """A chunk as the index holds it. Its id derives from its identity (I3), so a redelivered message overwrites its own
    entries."""

    document: DocumentId
    build_id: BuildId
    chunk: Chunk
    hash: TextHash
    vector: Vector | None
    """The vector of the text, or None where the embedder refused it."""
    name: str
    source: str
    paged: bool
    metadata: Mapping[str, str] = field(default_factory=dict)
    """The metadata that the sender gave with the document."""

    @property
    def id(self) -> str:
        return f"{self.document}:{self.build_id.generation}:{self.build_id.build}:{self.chunk.ordinal}"


def labels(metadata: Mapping[str, str]) -> list[str]:
    """The metadata as strings, one for each key and value, which an index can search for exactly."""
    return [json.dumps(item) for item in sorted(metadata.items())]


def metadata_of(labels: Iterable[str]) -> dict[str, str]:
    """The metadata that these labels were made from."""
    return dict(json.loads(label) for label in labels)


@dataclass(frozen=True, slots=True)
class Count:
    """The number of chunks that the index holds of one build, and how many of these have a vector."""

    chunks: int
    vectors: int


@dataclass(frozen=True, slots=True)
class IndexQuery:
    """A query to the index. Empty `sources` or `documents` do not restrict it."""

    terms: Mapping[str, int]
    """The terms to search for, as `search.words` splits texts, each with the number of times it is in the question.
    Empty where only vectors are searched."""
    vector: Vector | None
    depth: int
    """The number of candidates that each arm (words, vectors) gives."""
    sources: tuple[str, ...] = ()
    documents: tuple[DocumentId, ...] = ()
    metadata: tuple[tuple[str, str], ...] = ()
    """Only chunks whose metadata has all of these keys and values are found."""
    since: int | None = None
    """Only generations from this one on are found. The number of a generation is the time of its arrival, in ms."""
    before: int | None = None
    """Only generations before this one are found."""
    phrases: tuple[str, ...] = ()
    """Only chunks that contain all of these phrases are found. A phrase is its `search.words.exact_words`, joined by
    blanks."""
    excluded: frozenset[tuple[DocumentId, BuildId]] = frozenset()
    """Builds that are known not to be active. They are not found."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An entry that at least one of the arms found, scored by both arms."""

    entry: Entry
    """The entry. Its vector may be missing here."""
    bm25: float
    """The BM25 score of the words. It is 0 where no word matched; higher is better."""
    cosine: float | None
    """The cosine between query and entry; None where one of them has no vector."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """The union of what both arms found, in no particular order."""

    found: tuple[Candidate, ...]
    mean_cosine: float
    """The dot product of the query vector and the mean of the tenant's stored vectors; 0 where there are none."""
