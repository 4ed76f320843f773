"""The embedder of OpenAI, and of all that speak its protocol."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Callable, Sequence
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from penstock.chunk import Space, Vector
from penstock.document import TenantId
from penstock.errors import EmbeddingMisconfigured, Transient

if TYPE_CHECKING:  # takes 0.7 s to import, and only this embedder needs it
    import openai

WINDOW_BYTES = 8191
"""OpenAI's models take 8,192 tokens (API reference, "Create embeddings", `input`; 8,191 in earlier editions). A token
is of one byte or more, so a text of so many bytes of UTF-8 fits, and need not be tokenized here to know."""
REQUEST_BYTES = 600_000
"""A request takes 300,000 tokens (same place). Most languages have less than one token in two bytes; a batch that has
more is refused whole, and halved."""
CONNECT_SECONDS = 5.0
EMBED_SECONDS = 60.0
QUERY_SECONDS = 15.0
MESSAGE_CHARS = 300
_REFUSED = {400, 413, 422}
_PASSING = {408, 409, 425, 429}
_PLAIN = "word"
"""A text that no provider can object to."""


class OpenAIEmbedder:
    """An Embedder. The address, and the key where none is told, are OPENAI_BASE_URL and OPENAI_API_KEY, read by the
    openai package at first use.

    It never tries again by itself: the queue redelivers (I4), and what it waits for is the provider's Retry-After.
    """

    weight = 0.4
    """Measured as the best for models not known to be as good as all-MiniLM-L6-v2, for which it is 0.5."""

    def __init__(self, model: str, dimensions: int, batch: int = 128, key: Callable[[], str] | None = None) -> None:
        """`key` is asked at first use, in each process."""
        self.space = Space(model, dimensions)
        self._most = batch
        self._key = key
        self._clients: dict[int, openai.OpenAI] = {}

    def fits(self, text: str) -> bool:
        return len(text.encode("utf-8", "replace")) <= WINDOW_BYTES

    def embed(self, tenant: TenantId, texts: Sequence[str]) -> Sequence[Vector | None]:  # noqa: ARG002 - one account
        first = _first_request(texts, self._most)
        return self._batch(first, EMBED_SECONDS) if first else []

    def embed_query(self, tenant: TenantId, text: str) -> Vector | None:  # noqa: ARG002 - one account
        if not text.strip() or not self.fits(text):
            return None
        return self._batch([text], QUERY_SECONDS)[0]

    def _batch(self, texts: Sequence[str], seconds: float) -> Sequence[Vector | None]:
        try:
            return self._request(texts, seconds)
        except _Refused:
            self._probe(seconds)
            return self._divided(texts, seconds)

    def _divided(self, refused: Sequence[str], seconds: float) -> Sequence[Vector | None]:
        """Halves of what was refused as a whole, until the texts that cause it stand alone."""
        if len(refused) == 1:
            return [None]
        vectors: list[Vector | None] = []
        for half in (refused[: len(refused) // 2], refused[len(refused) // 2 :]):
            try:
                vectors += self._request(half, seconds)
            except _Refused:
                vectors += self._divided(half, seconds)
        return vectors

    def _probe(self, seconds: float) -> None:
        """Tells by a plain word whether a refusal is of the texts or of the call.

        Raises:
            EmbeddingMisconfigured: it is of the call.
        """
        try:
            self._request([_PLAIN], seconds)
        except _Refused as refusal:
            raise EmbeddingMisconfigured(why=str(refusal)) from refusal

    def _request(self, texts: Sequence[str], seconds: float) -> Sequence[Vector | None]:
        import openai  # noqa: PLC0415 - see above

        try:
            answer = self._client().embeddings.create(
                model=self.space.model,
                input=list(texts),
                dimensions=self.space.dimensions,
                encoding_format="base64",
                timeout=openai.Timeout(seconds, connect=CONNECT_SECONDS),
            )
            data = sorted(answer.data, key=lambda each: each.index)
            vectors = [_decoded(each.embedding) for each in data]
        except openai.APIStatusError as error:
            raise _translated(error) from error
        except openai.OpenAIError as error:
            raise Transient(why=f"the embedding provider did not answer ({error})") from error
        except (AttributeError, TypeError, ValueError) as error:  # the package hands on what it cannot make sense of
            raise Transient(why=f"the embedding provider's answer cannot be read ({error})") from error
        if [each.index for each in data] != list(range(len(texts))):
            raise Transient(why=f"the embedding provider gave {len(data)} vectors for {len(texts)} texts")
        for vector in vectors:
            if vector.shape != (self.space.dimensions,):
                raise EmbeddingMisconfigured(
                    why=f"its vectors have {vector.size} dimensions where {self.space.dimensions} were asked for"
                )
        return [_unit(vector) for vector in vectors]

    def _client(self) -> openai.OpenAI:
        """Of this process: connections may not be carried over a fork."""
        import openai  # noqa: PLC0415 - see above

        client = self._clients.get(os.getpid())
        if client is None:
            key = self._key() if self._key else None
            try:
                client = openai.OpenAI(api_key=key, max_retries=0)
            except openai.OpenAIError as error:
                raise EmbeddingMisconfigured(why="there is no API key") from error
            client = self._clients.setdefault(os.getpid(), client)
        return client


class _Refused(Exception):
    """The provider has nothing against the caller, but does not take this request."""


def _first_request(texts: Sequence[str], most: int) -> Sequence[str]:
    """The first of these texts that one request takes."""
    size = 0
    for number, text in enumerate(texts[:most]):
        size += len(text.encode("utf-8", "replace"))
        if number and size > REQUEST_BYTES:
            return texts[:number]
    return texts[:most]


def _decoded(embedding: str | Sequence[float]) -> Vector:
    """Some servers give lists of numbers whatever was asked for.

    Raises:
        TypeError, ValueError: it is no vector.
    """
    import numpy as np  # noqa: PLC0415 - takes 0.2 s to import, and nothing needs it before the first vector comes

    if isinstance(embedding, str):
        vector: Vector = np.frombuffer(base64.b64decode(embedding, validate=True), "<f4").astype(np.float32)
    else:
        vector = np.asarray(embedding, np.float32)
    if vector.ndim != 1 or not vector.size:
        raise ValueError(f"{str(embedding)[:20]!r} is no vector")
    return vector


def _unit(vector: Vector) -> Vector | None:
    """None for one that has no direction."""
    import numpy as np  # noqa: PLC0415 - see above

    length = float(np.linalg.norm(vector))
    return vector / np.float32(length) if np.isfinite(length) and length > 0 else None


def _translated(error: openai.APIStatusError) -> Exception:
    status = error.status_code
    why = f"status {status}: {error.code or 'no code'}"
    if status != 401:  # noqa: PLR2004 - Unauthorized, which may quote the key
        why += f", {error.message[:MESSAGE_CHARS]}"
    if status in _REFUSED:
        return _Refused(why)
    if status in _PASSING or status >= 500:  # noqa: PLR2004 - HTTP's server errors
        headers = error.response.headers
        after = _seconds(headers.get("retry-after-ms"), headers.get("retry-after"))
        return Transient(why=f"the embedding provider answered with {why}", retry_after=after)
    return EmbeddingMisconfigured(why=why)


def _seconds(milliseconds: str | None, after: str | None) -> float | None:
    """What Retry-After says: seconds or a date; `retry-after-ms` is finer. None where neither can be read."""
    try:
        if milliseconds is not None:
            return max(0.0, float(milliseconds) / 1000)
        if after is None:
            return None
        if after.strip().isdigit():
            return float(after)
        return max(0.0, parsedate_to_datetime(after).timestamp() - time.time())
    except ValueError:
        return None
