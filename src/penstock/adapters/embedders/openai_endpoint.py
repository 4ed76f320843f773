"""The embeddings endpoint of OpenAI, and of servers that speak its protocol: a request, its answer, and its errors."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock.adapters.embedders.openai_rates import retry_after
from penstock.domain.chunk import Space, Vector
from penstock.domain.errors import EmbeddingMisconfigured, Transient
from penstock.ports import Clock

if TYPE_CHECKING:  # takes 0.7 s to import, and only this embedder needs it
    import openai
    from openai.types import CreateEmbeddingResponse

CONNECT_SECONDS = 5.0
MESSAGE_CHARS = 300
"""At most this many characters of the provider's error message are repeated in ours."""

_REFUSED = {400, 413, 422}
_PASSING = {408, 409, 425}
_TOO_MANY_REQUESTS = 429
_NO_CREDIT = "insufficient_quota"
"""The code of a 429 that no waiting ends (OpenAI, "Error codes"): somebody has to pay first."""


@dataclass(frozen=True, slots=True)
class EmbeddingAnswer:
    """The provider's answer to one request."""

    vectors: Sequence[Vector | None]
    """One for each text, in order. It is None where the provider's vector has no direction."""
    tokens: int | None
    """The number of tokens that the provider charged for. It is None where the provider does not say."""
    headers: Mapping[str, str]


class InputRefused(Exception):
    """The provider accepts the caller, but not this request."""


class RateLimited(Exception):
    """The provider takes no more requests for now."""

    def __init__(self, why: str, headers: Mapping[str, str], retry_after: float | None) -> None:
        super().__init__(why)
        self.headers = headers
        self.retry_after = retry_after


class NoAnswer(Exception):
    """The provider did not answer, or its answer makes no sense."""

    def __init__(self, why: str, retry_after: float | None = None) -> None:
        super().__init__(why)
        self.retry_after = retry_after


class EmbeddingsEndpoint:
    """The address, and the key where no function gives one, are OPENAI_BASE_URL and OPENAI_API_KEY, read by the openai
    package at first use. No request is repeated."""

    def __init__(self, space: Space, key: Callable[[], str] | None, clock: Clock) -> None:
        """`key` is called at first use, in each process."""
        self._space = space
        self._key = key
        self._clock = clock
        self._clients: dict[int, openai.OpenAI] = {}

    def client(self) -> openai.OpenAI:
        """The SDK's client of this process: connections must not be carried over a fork.

        Raises:
            EmbeddingMisconfigured: there is no API key.
        """
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

    def request(self, texts: Sequence[str], seconds: float) -> EmbeddingAnswer:
        """Send one request, and wait at most this many seconds for each part of its answer.

        Raises:
            InputRefused, RateLimited, NoAnswer: see there.
            Transient: the provider answered with an error that may pass.
            EmbeddingMisconfigured: the provider refuses every request of this caller.
        """
        headers, response = self._response(texts, seconds)
        return EmbeddingAnswer(self._vectors(response, len(texts)), _charged_tokens(response), headers)

    def _response(self, texts: Sequence[str], seconds: float) -> tuple[Mapping[str, str], CreateEmbeddingResponse]:
        import openai  # noqa: PLC0415 - see above

        try:
            raw = self.client().embeddings.with_raw_response.create(
                model=self._space.model,
                input=list(texts),
                dimensions=self._space.dimensions,
                encoding_format="base64",
                timeout=openai.Timeout(seconds, connect=CONNECT_SECONDS),
            )
            return raw.headers, raw.parse()
        except openai.APIStatusError as error:
            raise self._error_of(error) from error
        except (
            openai.OpenAIError,
            ValueError,
        ) as error:  # the package raises what it gets for an answer it cannot read
            raise NoAnswer(f"did not answer ({error})") from error

    def _vectors(self, response: CreateEmbeddingResponse, texts: int) -> Sequence[Vector | None]:
        try:
            data = sorted(response.data, key=lambda each: each.index)
            vectors = [_decoded(each.embedding) for each in data]
        except (AttributeError, TypeError, ValueError) as error:
            raise NoAnswer(f"gave an answer that cannot be read ({error})") from error
        if [each.index for each in data] != list(range(texts)):
            raise NoAnswer(f"gave {len(data)} vectors for {texts} texts")
        for vector in vectors:
            if vector.shape != (self._space.dimensions,):
                raise EmbeddingMisconfigured(
                    why=f"its vectors have {vector.size} dimensions where {self._space.dimensions} were asked for"
                )
        return [_unit(vector) for vector in vectors]

    def _error_of(self, error: openai.APIStatusError) -> Exception:
        status, headers = error.status_code, error.response.headers
        why = f"status {status}: {error.code or 'no code'}"
        if status != 401:  # noqa: PLR2004 - Unauthorized, which may quote the key
            why += f", {error.message[:MESSAGE_CHARS]}"
        pause = retry_after(headers, self._clock().timestamp())
        if status in _REFUSED:
            return InputRefused(why)
        if status == _TOO_MANY_REQUESTS and error.code != _NO_CREDIT:
            return RateLimited(why, headers, pause)
        if status >= 500:  # noqa: PLR2004 - HTTP's server errors
            return NoAnswer(f"answered with {why}", pause)
        if status in _PASSING or status == _TOO_MANY_REQUESTS:
            return Transient(why=f"the embedding provider answered with {why}", retry_after=pause)
        return EmbeddingMisconfigured(why=why)


def _charged_tokens(response: CreateEmbeddingResponse) -> int | None:
    """Not all servers report them."""
    tokens = getattr(getattr(response, "usage", None), "total_tokens", None)
    return tokens if isinstance(tokens, int) else None


def _decoded(embedding: str | Sequence[float]) -> Vector:
    """The vector of an embedding in Base64, or in a list of numbers, which some servers give whatever is asked for.

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
    """The vector at unit length, or None if it has no direction."""
    import numpy as np  # noqa: PLC0415 - see above

    length = float(np.linalg.norm(vector))
    return vector / np.float32(length) if np.isfinite(length) and length > 0 else None
