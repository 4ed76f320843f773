"""An embedder in memory: texts with words in common get vectors that are close to each other."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import numpy as np

from penstock.domain.chunk import Space, Vector
from penstock.domain.ids import TenantId
from penstock.search.words import exact_words


class FakeEmbedder:
    """`embedded` has every text that got a vector or was refused, in order, without queries. Each call first takes the
    next entry of `fail`, if any is left, and raises it unless it is None. `refuse` decides which texts are refused."""

    weight = 0.4

    def __init__(self, space: Space = Space("fake", 32), batch: int = 8) -> None:  # noqa: B008 - frozen
        self.space = space
        self.batch = batch
        self.embedded: list[str] = []
        self.fail: list[Exception | None] = []
        self.refuse: Callable[[str], bool] = lambda text: False

    def fits(self, text: str) -> bool:
        return True

    def embed(self, tenant: TenantId, texts: Sequence[str]) -> Sequence[Vector | None]:
        texts = texts[: self.batch]
        if self.fail and (failure := self.fail.pop(0)):
            raise failure
        self.embedded += texts
        return [None if self.refuse(text) else self._vector(text) for text in texts]

    def embed_query(self, tenant: TenantId, text: str) -> Vector | None:
        return self._vector(text) if text.strip() else None

    def _vector(self, text: str) -> Vector:
        vector = bag_of_words(text, self.space.dimensions)
        return vector / np.linalg.norm(vector)


def bag_of_words(text: str, dimensions: int) -> Vector:
    """A vector in which each word adds 1 to a dimension that its hash gives. float32 of shape (dimensions,), never all
    zeros."""
    vector = np.zeros(dimensions, np.float32)
    for word in exact_words(text) or [text]:
        vector[int.from_bytes(hashlib.sha256(word.encode()).digest()[:4]) % dimensions] += 1
    return vector
