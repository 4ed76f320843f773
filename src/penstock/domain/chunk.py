"""Pages as they are read, chunks as they are cut, entries as they are indexed, hits as they are found."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NewType, TypeAlias

from penstock.domain.document import BuildId
from penstock.domain.ids import DocumentId

if TYPE_CHECKING:  # takes 0.2 s to import, and only who makes vectors or compares them needs it
    import numpy as np
    import numpy.typing as npt

Vector: TypeAlias = "npt.NDArray[np.float32]"
"""float32 of shape (dimensions,)."""

TextHash = NewType("TextHash", str)


@dataclass(frozen=True, slots=True)
class Section:
    """From `offset` characters into its page on, the text stands under these headings, outermost first."""

    offset: int
    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """One page of text in reading order or, where a format has no pages, the next part of it."""

    number: int
    """From 1."""
    text: str
    sections: tuple[Section, ...] = ()
    problem: str | None = None
    """Why the page could not be read, where it could not."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A run of characters of a document, cited by the pages it stands on (both ends counted)."""

    ordinal: int
    text: str
    first_page: int
    last_page: int
    section: tuple[str, ...] = ()
    breaks: tuple[tuple[int, int], ...] = ()
    """Where in the text each page after the first begins: the offset in characters, and the page's number."""

    def by_page(self) -> list[tuple[int, str]]:
        """Each page's number, and the part of the text that stands on it."""
        begins = [(0, self.first_page), *self.breaks]
        ends = [offset for offset, _ in self.breaks] + [len(self.text)]
        return [(page, self.text[offset:end]) for (offset, page), end in zip(begins, ends, strict=True)]


@dataclass(frozen=True, slots=True)
class Cut:
    """Where cutting can go on after a chunk, by reading from `page` on; what comes is what would have come anyway."""

    page: int
    offset: int
    """Characters from the beginning of that page to the core that the next chunk is of."""
    pieces: int
    """How many chunks were cut from that core already; 0 but where its whole did not fit."""
    ordinal: int
    """Of the next chunk."""


@dataclass(frozen=True, slots=True)
class Space:
    """The vectors that can be compared with each other: those of one model in one number of dimensions."""

    model: str
    dimensions: int

    def __str__(self) -> str:
        return f"{self.model} ({self.dimensions} dimensions)"

    def text_hash(self, text: str) -> TextHash:
        """By which a text's vector is found again: sha256 of model, dimensions and text."""
        return TextHash(hashlib.sha256(f"{self.model}\0{self.dimensions}\0{text}".encode()).hexdigest())


@dataclass(frozen=True, slots=True)
class Entry:
    """A chunk as the index holds it. Its id derives from identity (I3), so that a redelivery overwrites itself."""

    document: DocumentId
    build_id: BuildId
    chunk: Chunk
    hash: TextHash
    vector: Vector | None
    """None where the embedder refused the text."""
    name: str
    source: str
    paged: bool
    metadata: Mapping[str, str] = field(default_factory=dict)
    """What the document's sender said about it."""

    @property
    def id(self) -> str:
        return f"{self.document}:{self.build_id.generation}:{self.build_id.build}:{self.chunk.ordinal}"


def labels(metadata: Mapping[str, str]) -> list[str]:
    """As what an index can look for."""
    return [json.dumps(item) for item in sorted(metadata.items())]


def unlabelled(told: Iterable[str]) -> dict[str, str]:
    """What `labels` were made of."""
    return dict(json.loads(label) for label in told)


@dataclass(frozen=True, slots=True)
class Count:
    """What the index holds of one pair."""

    chunks: int
    vectors: int


@dataclass(frozen=True, slots=True)
class IndexQuery:
    """What is asked of the index. Empty `sources` and `documents` mean all."""

    terms: Mapping[str, int]
    """What to look for, as `words.terms_of` takes texts apart, and how often it was asked for; empty for vectors
    alone."""
    vector: Vector | None
    depth: int
    """How many candidates of each arm."""
    sources: tuple[str, ...] = ()
    documents: tuple[DocumentId, ...] = ()
    metadata: tuple[tuple[str, str], ...] = ()
    """Only what has all of these."""
    since: int | None = None
    """Only generations from this on. A generation's number is the time of its arrival, in ms."""
    before: int | None = None
    """Only generations before this."""
    phrases: tuple[str, ...] = ()
    """Only what holds all of these, as `words.exact_words` joined by blanks."""
    excluded: frozenset[tuple[DocumentId, BuildId]] = frozenset()
    """Pairs known not to be active."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An entry that one of the arms found, scored by both."""

    entry: Entry
    """Its vector may be left out."""
    bm25: float
    """At least 0; higher is better; 0 where no word matched."""
    cosine: float | None
    """None where the entry, or the query, has no vector."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """The union of what both arms found, in no order."""

    found: tuple[Candidate, ...]
    mean_cosine: float
    """q·m: the query vector by the mean of the vectors stored for this tenant; 0 where there are none."""
