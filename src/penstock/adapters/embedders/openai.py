"""The embedder of OpenAI, and of all that speak its protocol."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from penstock.adapters.embedders.openai_rates import retry_after, until_room
from penstock.domain.chunk import Space, Vector
from penstock.domain.errors import EmbeddingMisconfigured, Transient
from penstock.domain.ids import TenantId
from penstock.domain.provider_budget import BYTES_PER_TOKEN, Amount
from penstock.rate_limit.limiter import RateLimiter
from penstock.rate_limit.local_budget import LocalBudgetTable

if TYPE_CHECKING:  # takes 0.7 s to import, and only this embedder needs it
    import openai
    from openai.types import CreateEmbeddingResponse

WINDOW_BYTES = 8191
"""OpenAI's models take 8,192 tokens (API reference, "Create embeddings", `input`; 8,191 in earlier editions). A token
is of one byte or more, so a text of so many bytes of UTF-8 fits, and need not be tokenized here to know."""
REQUEST_TOKENS = 300_000
"""The most that a request takes (same place)."""
REQUEST_BYTES = 2 * REQUEST_TOKENS
"""Most languages have less than one token in two bytes; a batch that has more is refused whole, and halved."""
CONNECT_SECONDS = 5.0
EMBED_SECONDS = 60.0
QUERY_SECONDS = 15.0
PAUSE_SECONDS = 5.0
"""After a 429 that does not say how long."""
MESSAGE_CHARS = 300
_REFUSED = {400, 413, 422}
_PASSING = {408, 409, 425}
_TOO_MUCH = 429
_NO_CREDIT = "insufficient_quota"
"""A 429 that no waiting mends (OpenAI, "Error codes"): somebody has to pay first."""
_PLAIN = "word"
"""A text that no provider can object to."""


class OpenAIEmbedder:
    """An Embedder. The address, and the key where none is told, are OPENAI_BASE_URL and OPENAI_API_KEY, read by the
    openai package at first use.

    It never tries again by itself: the queue redelivers (I4). Each request passes a turnstile, which knows when the
    provider is not to be asked, and is told what it answers.
    """

    weight = 0.4
    """Measured as the best for models not known to be as good as all-MiniLM-L6-v2, for which it is 0.5."""

    def __init__(
        self,
        model: str,
        dimensions: int,
        batch: int = 128,
        key: Callable[[], str] | None = None,
        *,
        texts: RateLimiter | None = None,
        questions: RateLimiter | None = None,
    ) -> None:
        """`key` is asked at first use, in each process. `texts` and `questions` are passed by what is embedded to be
        found and to find: a reader does not wait for the budget that a backlog uses up."""
        self.space = Space(model, dimensions)
        self._most = batch
        self._key = key
        self.texts = texts or RateLimiter(LocalBudgetTable(), model, _now)
        self.questions = questions or RateLimiter(LocalBudgetTable(), model, _now, slows=False)
        self._clients: dict[int, openai.OpenAI] = {}

    def fits(self, text: str) -> bool:
        return _bytes(text) <= WINDOW_BYTES

    def embed(self, tenant: TenantId, texts: Sequence[str]) -> Sequence[Vector | None]:  # noqa: ARG002 - one account
        size = min(REQUEST_BYTES, self.texts.limit.tokens * BYTES_PER_TOKEN)
        first = _first_request(texts, self._most, size)
        return self._batch(_Call(first, EMBED_SECONDS, self.texts)) if first else []

    def embed_query(self, tenant: TenantId, text: str) -> Vector | None:  # noqa: ARG002 - one account
        if not text.strip() or not self.fits(text):
            return None
        return self._batch(_Call([text], QUERY_SECONDS, self.questions))[0]

    def _batch(self, call: _Call) -> Sequence[Vector | None]:
        try:
            return self._request(call)
        except _Refused:
            self._probe(call)
            return self._divided(call)

    def _divided(self, refused: _Call) -> Sequence[Vector | None]:
        """Halves of what was refused as a whole, until the texts that cause it stand alone. Where the provider is not
        to be asked on, or stops to answer, what was paid for so far."""
        if len(refused.texts) == 1:
            return [None]
        vectors: list[Vector | None] = []
        for half in refused.halves():
            try:
                found = self._half(half)
            except Transient:
                if not vectors:
                    raise
                break
            vectors += found
            if len(found) < len(half.texts):
                break
        return vectors

    def _half(self, call: _Call) -> Sequence[Vector | None]:
        try:
            return self._request(call)
        except _Refused:
            return self._divided(call)

    def _probe(self, call: _Call) -> None:
        """Tells by a plain word whether a refusal is of the texts or of the call.

        Raises:
            EmbeddingMisconfigured: it is of the call.
        """
        try:
            self._request(call.plain())
        except _Refused as refusal:
            raise EmbeddingMisconfigured(why=str(refusal)) from refusal

    def _request(self, call: _Call) -> Sequence[Vector | None]:
        """One request, once it may be made. After a silence a plain word goes first: a text that ends the provider's
        answer each time is then found out, and not taken for an outage for ever.

        Raises:
            NotYet: the provider is not to be asked now, or asks for a pause, or is out.
            Transient: it did not answer.
            EmbeddingMisconfigured: it refuses whatever it is asked.
        """
        self._client()  # what it lacks, such as a key, tells nothing of the provider
        with call.turnstile.turn(call.seconds):
            if call.turnstile.enter(call.need):
                self._answer(call.plain())
            return self._answer(call)

    def _answer(self, call: _Call) -> Sequence[Vector | None]:
        turnstile = call.turnstile
        try:
            headers, answer = self._asked(call)
            vectors = self._read(answer, len(call.texts))
        except _Silent as silence:
            raise turnstile.failed(f"the embedding provider {silence}", silence.pause) from silence
        except _TooMuch as refusal:
            pause = _retry_after(refusal.headers, turnstile)
            if pause is None:
                pause = until_room(refusal.headers, call.need) or PAUSE_SECONDS
            raise turnstile.refused(f"it answered with {refusal}", call.need, pause) from refusal
        except (_Refused, Transient, EmbeddingMisconfigured):
            turnstile.answered()
            raise
        used = _used(answer) or call.need.tokens
        turnstile.answered(call.need.tokens - used, until_room(headers, Amount(1, used)))
        return vectors

    def _asked(self, call: _Call) -> tuple[Mapping[str, str], CreateEmbeddingResponse]:
        import openai  # noqa: PLC0415 - see above

        try:
            raw = self._client().embeddings.with_raw_response.create(
                model=self.space.model,
                input=list(call.texts),
                dimensions=self.space.dimensions,
                encoding_format="base64",
                timeout=openai.Timeout(call.seconds, connect=CONNECT_SECONDS),
            )
            return raw.headers, raw.parse()
        except openai.APIStatusError as error:
            raise _translated(error, call.turnstile) from error
        except (openai.OpenAIError, ValueError) as error:  # the package hands on what it cannot make sense of
            raise _Silent(f"did not answer ({error})") from error

    def _read(self, answer: CreateEmbeddingResponse, texts: int) -> Sequence[Vector | None]:
        try:
            data = sorted(answer.data, key=lambda each: each.index)
            vectors = [_decoded(each.embedding) for each in data]
        except (AttributeError, TypeError, ValueError) as error:
            raise _Silent(f"gave an answer that cannot be read ({error})") from error
        if [each.index for each in data] != list(range(texts)):
            raise _Silent(f"gave {len(data)} vectors for {texts} texts")
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


@dataclass(frozen=True, slots=True)
class _Call:
    """Texts of one request, how long its answer may take, and what it has to pass."""

    texts: Sequence[str]
    seconds: float
    turnstile: RateLimiter

    @property
    def need(self) -> Amount:
        return Amount(1, sum(_bytes(text) // BYTES_PER_TOKEN + 1 for text in self.texts))

    def halves(self) -> tuple[_Call, _Call]:
        middle = len(self.texts) // 2
        return (
            _Call(self.texts[:middle], self.seconds, self.turnstile),
            _Call(self.texts[middle:], self.seconds, self.turnstile),
        )

    def plain(self) -> _Call:
        return _Call([_PLAIN], QUERY_SECONDS, self.turnstile)


class _Refused(Exception):
    """The provider has nothing against the caller, but does not take this request."""


class _Silent(Exception):
    """The provider did not answer, or not sensibly."""

    def __init__(self, why: str, pause: float | None = None) -> None:
        super().__init__(why)
        self.pause = pause


class _TooMuch(Exception):
    """The provider takes no more for now."""

    def __init__(self, why: str, headers: Mapping[str, str]) -> None:
        super().__init__(why)
        self.headers = headers


def _used(answer: CreateEmbeddingResponse) -> int | None:
    """Tokens, where the server tells: not all do."""
    told = getattr(getattr(answer, "usage", None), "total_tokens", None)
    return told if isinstance(told, int) else None


def _now() -> datetime:
    return datetime.now(UTC)


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


def _first_request(texts: Sequence[str], most: int, largest: float) -> Sequence[str]:
    """The first of these texts that one request takes, of so many bytes."""
    size = 0
    for number, text in enumerate(texts[:most]):
        size += _bytes(text)
        if number and size > largest:
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


def _translated(error: openai.APIStatusError, turnstile: RateLimiter) -> Exception:
    status, headers = error.status_code, error.response.headers
    why = f"status {status}: {error.code or 'no code'}"
    if status != 401:  # noqa: PLR2004 - Unauthorized, which may quote the key
        why += f", {error.message[:MESSAGE_CHARS]}"
    if status in _REFUSED:
        return _Refused(why)
    if status == _TOO_MUCH and error.code != _NO_CREDIT:
        return _TooMuch(why, headers)
    if status >= 500:  # noqa: PLR2004 - HTTP's server errors
        return _Silent(f"answered with {why}", _retry_after(headers, turnstile))
    if status in _PASSING or status == _TOO_MUCH:
        after = _retry_after(headers, turnstile)
        return Transient(why=f"the embedding provider answered with {why}", retry_after=after)
    return EmbeddingMisconfigured(why=why)


def _retry_after(headers: Mapping[str, str], turnstile: RateLimiter) -> float | None:
    return retry_after(headers, turnstile.clock().timestamp())
