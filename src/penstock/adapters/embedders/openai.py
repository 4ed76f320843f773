"""The embedder of OpenAI, and of every provider that speaks its protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from penstock.adapters.embedders.openai_endpoint import EmbeddingsEndpoint, InputRefused, NoAnswer, RateLimited
from penstock.adapters.embedders.openai_rates import seconds_until_capacity
from penstock.domain.chunk import Space, Vector
from penstock.domain.errors import EmbeddingMisconfigured, Transient
from penstock.domain.ids import TenantId
from penstock.domain.provider_budget import BYTES_PER_TOKEN, Amount
from penstock.rate_limit.limiter import RateLimiter
from penstock.rate_limit.local_budget import LocalBudgetTable

WINDOW_BYTES = 8191
"""The largest text that is embedded, in bytes of UTF-8. OpenAI's models take 8,192 tokens (API reference, "Create
embeddings", `input`; 8,191 in earlier editions). A token has one byte or more, so a text of this many bytes fits, and
need not be tokenized here to know."""
REQUEST_TOKENS = 300_000
"""The maximum number of tokens in one request (same place)."""
REQUEST_BYTES = 2 * REQUEST_TOKENS
"""The maximum number of bytes of text that are put into one request. Most languages have less than one token in two
bytes; a batch that has more is refused whole, and halved."""
EMBED_SECONDS = 60.0
QUERY_SECONDS = 15.0
PAUSE_SECONDS = 5.0
"""The pause after a 429 that does not say how long to wait, in seconds."""
_PROBE_TEXT = "word"
"""A text that no provider can object to."""


class OpenAIEmbedder:
    """An Embedder that calls an HTTP endpoint.

    It never retries by itself: the queue redelivers (I4). Each request passes a rate limiter, which knows when the
    provider must not be called, and learns what the provider answers.
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
        """
        Args:
            batch: the maximum number of texts in one request.
            key: gives the API key. It is called at first use, in each process; without it the key is OPENAI_API_KEY.
            texts: the rate limiter of the texts that are indexed.
            questions: the rate limiter of the questions of readers, who do not wait for the budget that a backlog uses
                up.
        """
        self.space = Space(model, dimensions)
        self._max_texts = batch
        self.texts = texts or RateLimiter(LocalBudgetTable(), model, _now)
        self.questions = questions or RateLimiter(LocalBudgetTable(), model, _now, backs_off=False)
        self._endpoint = EmbeddingsEndpoint(self.space, key, self.texts.clock)

    def fits(self, text: str) -> bool:
        return _size(text) <= WINDOW_BYTES

    def embed(self, tenant: TenantId, texts: Sequence[str]) -> Sequence[Vector | None]:  # noqa: ARG002 - one account
        max_bytes = min(REQUEST_BYTES, self.texts.limit.tokens * BYTES_PER_TOKEN)
        first = _first_request(texts, self._max_texts, max_bytes)
        return self._embed_batch(_Call(first, EMBED_SECONDS, self.texts)) if first else []

    def embed_query(self, tenant: TenantId, text: str) -> Vector | None:  # noqa: ARG002 - one account
        if not text.strip() or not self.fits(text):
            return None
        return self._embed_batch(_Call([text], QUERY_SECONDS, self.questions))[0]

    def _embed_batch(self, call: _Call) -> Sequence[Vector | None]:
        try:
            return self._request(call)
        except InputRefused:
            self._check_that_others_are_accepted(call)
            return self._embed_halves(call)

    def _embed_halves(self, refused: _Call) -> Sequence[Vector | None]:
        """Halve a batch that was refused, and its refused halves, until each text that causes a refusal stands alone.

        Where the provider must not be called any more, or stops answering, this returns the vectors of the first texts:
        they are paid for.
        """
        if len(refused.texts) == 1:
            return [None]
        vectors: list[Vector | None] = []
        for half in refused.halves():
            try:
                found = self._embed_half(half)
            except Transient:
                if not vectors:
                    raise
                break
            vectors += found
            if len(found) < len(half.texts):
                break
        return vectors

    def _embed_half(self, call: _Call) -> Sequence[Vector | None]:
        try:
            return self._request(call)
        except InputRefused:
            return self._embed_halves(call)

    def _check_that_others_are_accepted(self, refused: _Call) -> None:
        """Find out, by a text that no provider can object to, whether a refusal is due to the texts or to the call.

        Raises:
            EmbeddingMisconfigured: it is due to the call.
        """
        try:
            self._request(refused.probe())
        except InputRefused as refusal:
            raise EmbeddingMisconfigured(why=str(refusal)) from refusal

    def _request(self, call: _Call) -> Sequence[Vector | None]:
        """Make one request, once the rate limiter lets it through. After a silence of the provider a probe goes first:
        otherwise a text that makes the provider fail each time would be taken for an outage for ever.

        Raises:
            NotYet: the provider must not be called now, asks for a pause, or is out.
            Transient: the provider did not answer.
            EmbeddingMisconfigured: the provider refuses every request.
        """
        self._endpoint.client()  # a missing key says nothing about the provider, so the limiter must not learn of it
        with call.limiter.slot(call.seconds):
            if call.limiter.acquire(call.need):
                self._send(call.probe())
            return self._send(call)

    def _send(self, call: _Call) -> Sequence[Vector | None]:
        """Make the request, and record for the rate limiter what came of it."""
        limiter = call.limiter
        try:
            answer = self._endpoint.request(call.texts, call.seconds)
        except NoAnswer as silence:
            raise limiter.record_failure(f"the embedding provider {silence}", silence.retry_after) from silence
        except RateLimited as refusal:
            pause = refusal.retry_after
            if pause is None:
                pause = seconds_until_capacity(refusal.headers, call.need) or PAUSE_SECONDS
            raise limiter.record_refusal(f"it answered with {refusal}", call.need, pause) from refusal
        except (InputRefused, Transient, EmbeddingMisconfigured):
            limiter.record_answer()
            raise
        used = answer.tokens or call.need.tokens
        limiter.record_answer(call.need.tokens - used, seconds_until_capacity(answer.headers, Amount(1, used)))
        return answer.vectors


@dataclass(frozen=True, slots=True)
class _Call:
    """The texts of one request, the number of seconds that its answer may take, and the rate limiter that it passes."""

    texts: Sequence[str]
    seconds: float
    limiter: RateLimiter

    @property
    def need(self) -> Amount:
        """The estimated cost of the request."""
        return Amount(1, sum(_size(text) // BYTES_PER_TOKEN + 1 for text in self.texts))

    def halves(self) -> tuple[_Call, _Call]:
        middle = len(self.texts) // 2
        return (
            _Call(self.texts[:middle], self.seconds, self.limiter),
            _Call(self.texts[middle:], self.seconds, self.limiter),
        )

    def probe(self) -> _Call:
        return _Call([_PROBE_TEXT], QUERY_SECONDS, self.limiter)


def _now() -> datetime:
    return datetime.now(UTC)


def _size(text: str) -> int:
    """The number of bytes in UTF-8."""
    return len(text.encode("utf-8", "replace"))


def _first_request(texts: Sequence[str], max_texts: int, max_bytes: float) -> Sequence[str]:
    """The first of these texts that fit into one request: at least one, if there are any."""
    size = 0
    for number, text in enumerate(texts[:max_texts]):
        size += _size(text)
        if number and size > max_bytes:
            return texts[:number]
    return texts[:max_texts]
