"""An embedder of your own: a class with the methods of the Embedder port (src/penstock/ports.py), here one that hashes
character trigrams. It needs no model, and finds texts that share spellings.

To use one, put it into src/penstock/adapters/embedders/, let it pass tests/contract/test_embedder.py, and add
its line to src/penstock/wiring.py. This program only shows what it does.

    python examples/own_embedder.py
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from penstock.domain.chunk import Space, Vector
from penstock.domain.ids import TenantId
from penstock.ports import Embedder

DIMENSIONS = 512


class TrigramEmbedder:
    """Each group of three characters adds one to the dimension that its hash chooses."""

    space = Space("trigrams", DIMENSIONS)
    """Vectors of another space are never compared with these. A change of how they are made is another name."""
    weight = 0.3
    """The share of the cosine in the score of a hit; the rest is that of the words."""

    def fits(self, text: str) -> bool:  # noqa: ARG002 - whatever the text
        """Every text fits. A model that reads only so many tokens says here which texts are too long for it."""
        return True

    def embed(self, tenant: TenantId, texts: Sequence[str]) -> Sequence[Vector | None]:  # noqa: ARG002 - runs here
        """An adapter may answer for the first of these texts only, as many as one request to its provider takes, and
        answers None for a text that the provider refuses."""
        return [_vector(text) for text in texts]

    def embed_query(self, tenant: TenantId, text: str) -> Vector | None:
        return self.embed(tenant, [text])[0]


def _vector(text: str) -> Vector:
    """A vector of length 1."""
    text = text.lower().ljust(3)
    places = [zlib.crc32(text[at : at + 3].encode()) % DIMENSIONS for at in range(len(text) - 2)]
    counts = np.bincount(places, minlength=DIMENSIONS).astype(np.float32)
    return counts / np.linalg.norm(counts)


def main() -> None:
    embedder: Embedder = TrigramEmbedder()  # the type checker compares it with the port
    tenant = TenantId("local")
    texts = ["The penstock drops 212 metres.", "Eels climb a ramp of bristles.", "Grease the guide vane bearings."]
    question = embedder.embed_query(tenant, "greasing of bearings")
    assert question is not None
    for text, vector in zip(texts, embedder.embed(tenant, texts), strict=True):
        print(f"{float(question @ vector) if vector is not None else 0:.2f}  {text}")


if __name__ == "__main__":
    main()
