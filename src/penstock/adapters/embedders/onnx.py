"""The embedder that runs a sentence-transformers model exported to ONNX, a folder of model.onnx and tokenizer.json."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from penstock.domain.chunk import Space, Vector
from penstock.domain.errors import Misconfigured
from penstock.domain.ids import TenantId

MODEL, TOKENIZER = "model.onnx", "tokenizer.json"
_WINDOW = 512
"""The model's window, in tokens, where the tokenizer does not say."""
_MAX_TEXTS = 32
"""The maximum number of texts in one call of `embed`. Between two calls the caller checks whether the work is still
wanted."""
_HASH_BLOCK = 1 << 20


class OnnxEmbedder:
    """An Embedder. The model is loaded when its space or a vector is first asked for.

    The name of the space contains the folder's name and a hash of the model, so that vectors of two exports are never
    mixed.
    """

    weight = 0.5
    """Measured on seven test collections with a model of MiniLM's class, each left out in turn."""

    def __init__(self, folder: Path) -> None:
        """
        Raises:
            Misconfigured: the folder has no model, or the libraries that run it are not installed.
        """
        missing = [name for name in (MODEL, TOKENIZER) if not (folder / name).is_file()]
        if missing:
            raise Misconfigured(
                why=f"{folder} has no {' and no '.join(missing)}. Make one by `penstock embedder build minilm "
                f"{folder}`, or export a sentence-transformers model to ONNX into it."
            )
        self._folder = folder
        self._lock = threading.Lock()

    @cached_property
    def space(self) -> Space:
        digest = hashlib.sha256()
        with (self._folder / MODEL).open("rb") as file:
            while block := file.read(_HASH_BLOCK):
                digest.update(block)
        name = f"onnx-{self._folder.resolve().name}-{digest.hexdigest()[:12]}"
        return Space(name, len(self._vector("dimensions")))

    def fits(self, text: str) -> bool:
        return len(self._loaded[0].encode(text).ids) <= self._loaded[2]

    def embed(self, tenant: TenantId, texts: Sequence[str]) -> Sequence[Vector | None]:  # noqa: ARG002 - runs here
        return [self._vector(text) for text in texts[:_MAX_TEXTS]]

    def embed_query(self, tenant: TenantId, text: str) -> Vector | None:
        return self.embed(tenant, [text])[0] if text.strip() else None

    def _vector(self, text: str) -> Vector:
        """One text is embedded per call: in a quantised model a vector depends on what else is in the batch."""
        tokenizer, session, window = self._loaded
        tokens = tokenizer.encode(text.encode("utf-8", "replace").decode())
        ids = np.array([tokens.ids[:window]], np.int64)
        mask = np.ones_like(ids)
        inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        accepted = {each.name for each in session.get_inputs()}
        (first, *_) = session.run(None, {name: value for name, value in inputs.items() if name in accepted})
        # The vectors of the tokens are averaged, as sentence-transformers does by default.
        mean = first[0] if first.ndim == 2 else first[0].mean(axis=0)  # noqa: PLR2004 - (batch, dimensions)
        vector: Vector = (mean / np.linalg.norm(mean)).astype(np.float32)
        return vector

    @property
    def _loaded(self) -> tuple[Any, Any, int]:
        with self._lock:
            return self._load

    @cached_property
    def _load(self) -> tuple[Any, Any, int]:
        """The tokenizer, the session, and the model's window in tokens."""
        try:
            import onnxruntime  # noqa: PLC0415 - heavy, and only this embedder needs it
            from tokenizers import Tokenizer  # noqa: PLC0415
        except ImportError as error:
            why = "The embedder onnx needs onnxruntime and tokenizers. Install penstock[onnx]."
            raise Misconfigured(why=why) from error
        tokenizer = Tokenizer.from_file(str(self._folder / TOKENIZER))
        window = (tokenizer.truncation or {}).get("max_length", _WINDOW)
        tokenizer.no_truncation()
        tokenizer.no_padding()
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        return tokenizer, onnxruntime.InferenceSession(str(self._folder / MODEL), options), window
