"""The embedder that needs no key and no network: static vectors by wordllama, whose package contains the weights."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from penstock.domain.chunk import Space, Vector
from penstock.domain.errors import Misconfigured
from penstock.domain.ids import TenantId

MODEL = "l2_supercat"
DIMENSIONS = 256
_MAX_TEXTS = 256
"""The maximum number of texts in one call of `embed`. They take about 60 ms; between two calls the caller checks
whether the work is still wanted."""


class WordllamaEmbedder:
    """An Embedder. The model, of 32 MB in memory, is loaded when the first text is embedded."""

    space = Space(f"wordllama-{MODEL}", DIMENSIONS)
    weight = 0.4
    """Measured on seven test collections, each left out in turn."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._model: Any = None

    def fits(self, text: str) -> bool:  # noqa: ARG002 - whatever the text
        """Every text fits: its vector is the mean of its tokens' vectors, however many they are, and nothing is cut
        off."""
        return True

    def embed(self, tenant: TenantId, texts: Sequence[str]) -> Sequence[Vector | None]:  # noqa: ARG002 - runs here
        model = self._loaded()
        return [_vector(model, text) for text in texts[:_MAX_TEXTS]]

    def embed_query(self, tenant: TenantId, text: str) -> Vector | None:
        return self.embed(tenant, [text])[0] if text.strip() else None

    def _loaded(self) -> Any:
        with self._lock:
            if self._model is None:
                self._model = _load()
            return self._model


def _vector(model: Any, text: str) -> Vector:
    """One text is embedded per call, so that its vector does not depend on others and no time goes into padding. It is
    put into lower case, because the model distinguishes case and is much worse for it. An empty text has no tokens and
    would give NaN; a blank stands in for it, which has one token."""
    vector: Vector = model.embed([text.lower() or " "], norm=True)[0]
    return vector


def _load() -> Any:
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    try:
        import wordllama  # noqa: PLC0415 - takes half a second, and only this embedder needs it
    except ImportError as error:
        raise Misconfigured(
            why="The embedder wordllama is not installed. Install penstock[wordllama], or set OPENAI_API_KEY."
        ) from error
    root.setLevel(level)  # the import configures logging for the whole process
    root.handlers[:] = handlers
    return wordllama.WordLlama.load(
        MODEL, cache_dir=Path(wordllama.__file__).parent, dim=DIMENSIONS, disable_download=True
    )
