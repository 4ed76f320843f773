"""What every Embedder promises, and what only the OpenAI embedder does, against a server that speaks its protocol."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from email.utils import formatdate

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, save
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Split
from tokenizers.processors import TemplateProcessing

from penstock.adapters.embedders.onnx import OnnxEmbedder
from penstock.adapters.embedders.openai import PAUSE_SECONDS, REQUEST_BYTES, WINDOW_BYTES, OpenAIEmbedder
from penstock.adapters.embedders.wordllama import WordllamaEmbedder
from penstock.domain.chunk import Vector
from penstock.domain.errors import EmbeddingMisconfigured, NotYet, Transient
from penstock.domain.ids import TenantId
from penstock.domain.provider_budget import BYTES_PER_TOKEN, FIRST_SILENCE, SILENT_AFTER, Amount
from penstock.ports import Embedder
from penstock.rate_limit.limiter import RateLimiter
from penstock.rate_limit.local_budget import LocalBudgetTable
from tests.support.fakes.embedder import FakeEmbedder
from tests.support.stubs.openai_server import Failure, OpenAIServer
from tests.support.world import FakeClock

ACME = TenantId("acme")
ODD = ["", " ", "\n\t", "\0", "§§§ ---", "😀", "文書", "a" * 3000, "word " * 800, "الماء", "\u200b"]


@pytest.fixture
def openai(provider: OpenAIServer) -> OpenAIEmbedder:
    return OpenAIEmbedder("text-embedding-3-small", 64, batch=16)


@pytest.fixture(scope="module")
def wordllama() -> WordllamaEmbedder:
    return WordllamaEmbedder()


@pytest.fixture(scope="module")
def onnx(tmp_path_factory: pytest.TempPathFactory) -> OnnxEmbedder:
    """A model of one table, whose vector is the mean of the rows of the letters."""
    folder, dimensions = tmp_path_factory.mktemp("letters"), 16
    letters = {"[CLS]": 0, "[UNK]": 1} | {letter: n for n, letter in enumerate("abcdefghijklmnopqrstuvwxyz", 2)}
    tokenizer = Tokenizer(WordLevel(letters, unk_token="[UNK]"))
    tokenizer.normalizer = Lowercase()
    tokenizer.pre_tokenizer = Split("", "isolated")
    tokenizer.post_processor = TemplateProcessing(single="[CLS] $A", special_tokens=[("[CLS]", 0)])
    tokenizer.enable_truncation(8192)
    tokenizer.save(str(folder / "tokenizer.json"))
    table = np.random.default_rng(1).normal(size=(len(letters), dimensions)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "input_ids"], ["last_hidden_state"])],
        "letters",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["B", "T"])],
        [helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["B", "T", dimensions])],
        [numpy_helper.from_array(table, "table")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    save(model, str(folder / "model.onnx"))
    return OnnxEmbedder(folder)


@pytest.fixture(params=["wordllama", "openai", "onnx", "fake"])
def embedder(request: pytest.FixtureRequest) -> Embedder:
    found: Embedder = FakeEmbedder() if request.param == "fake" else request.getfixturevalue(request.param)
    return found


def is_unit(vector: Vector | None, embedder: Embedder) -> bool:
    return (
        vector is not None
        and vector.dtype == np.float32
        and vector.shape == (embedder.space.dimensions,)
        and float(np.linalg.norm(vector)) == pytest.approx(1, abs=1e-5)
    )


# Every embedder


def test_each_text_gets_a_vector_of_unit_length_in_order(embedder: Embedder) -> None:
    texts = ["The keeper reads the gauge.", "Salmon climb the ladder.", "The bridge toll was abolished."]
    vectors = embedder.embed(ACME, texts)
    assert [is_unit(vector, embedder) for vector in vectors] == [True] * 3
    for text, vector in zip(texts, vectors, strict=True):
        (alone,) = embedder.embed(ACME, [text])
        np.testing.assert_allclose(alone, vector, atol=1e-6)


def test_many_texts_are_embedded_a_request_at_a_time_and_each_request_brings_some_on(embedder: Embedder) -> None:
    texts = [f"line {n}" for n in range(600)]
    left, calls = texts, 0
    while left:
        vectors = embedder.embed(ACME, left)
        assert 1 <= len(vectors) <= len(left)
        assert all(is_unit(vector, embedder) for vector in vectors)
        (alone,) = embedder.embed(ACME, left[:1])
        np.testing.assert_allclose(vectors[0], alone, atol=1e-6)
        left, calls = left[len(vectors) :], calls + 1
    assert calls > 1


def test_no_texts_are_no_vectors(embedder: Embedder) -> None:
    assert list(embedder.embed(ACME, [])) == []


def test_a_question_is_nearest_to_the_text_that_has_its_words(embedder: Embedder) -> None:
    vectors = embedder.embed(ACME, ["The keeper reads the water gauge.", "Salmon climb the ladder in autumn."])
    question = embedder.embed_query(ACME, "who reads the water gauge")
    assert is_unit(question, embedder)
    assert vectors[0] @ question > vectors[1] @ question


@pytest.mark.parametrize("text", ODD, ids=lambda text: ascii(text[:8]))
def test_an_odd_text_gets_a_vector_or_is_refused_but_is_never_nan(embedder: Embedder, text: str) -> None:
    odd, plain = embedder.embed(ACME, [text, "plain"])
    assert odd is None or is_unit(odd, embedder)
    assert is_unit(plain, embedder), "the others of its batch are embedded all the same"


@pytest.mark.parametrize("text", ["", " ", "\n"], ids=ascii)
def test_a_blank_question_has_no_vector(embedder: Embedder, text: str) -> None:
    assert embedder.embed_query(ACME, text) is None


def test_ordinary_chunks_fit(embedder: Embedder) -> None:
    assert embedder.fits("word " * 800)


def test_threads_may_embed_at_once(embedder: Embedder) -> None:
    texts = [f"text number {n} of {n * n}" for n in range(40)]
    expected = [embedder.embed(ACME, [text])[0] for text in texts]
    with ThreadPoolExecutor(8) as threads:
        vectors = list(threads.map(lambda text: embedder.embed(ACME, [text])[0], texts))
    for vector, wanted in zip(vectors, expected, strict=True):
        np.testing.assert_allclose(vector, wanted, atol=1e-6)


# wordllama's own


def test_wordllama_takes_no_notice_of_case(wordllama: WordllamaEmbedder) -> None:
    upper, lower = wordllama.embed(ACME, ["The WATER Gauge", "the water gauge"])
    np.testing.assert_array_equal(upper, lower)


def test_wordllama_cuts_nothing_off(wordllama: WordllamaEmbedder) -> None:
    """The end of a long text changes its vector."""
    long = "water gauge " * 20_000
    one, other = wordllama.embed(ACME, [long, long + "salmon " * 20_000])
    assert float(one @ other) < 0.99


@pytest.mark.invariant("I9")
def test_neither_embedder_is_imported_or_logs_before_it_is_used() -> None:
    """I9. wordllama's import would set the root logger to INFO; the logger stays as it was."""
    program = (
        "import logging, sys\n"
        "from penstock.adapters.embedders.openai import OpenAIEmbedder\n"
        "from penstock.adapters.embedders.wordllama import WordllamaEmbedder\n"
        "embedder = WordllamaEmbedder(); OpenAIEmbedder('m', 8)\n"
        "assert not {'wordllama', 'openai', 'tokenizers'} & sys.modules.keys()\n"
        "embedder.embed('acme', ['x'])\n"
        "root = logging.getLogger()\n"
        "assert (root.level, root.handlers) == (logging.WARNING, []), (root.level, root.handlers)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    assert logging.getLogger().level == logging.WARNING


# OpenAI's own


def test_openai_asks_once_for_a_batch_in_the_configured_dimensions(
    openai: OpenAIEmbedder, provider: OpenAIServer
) -> None:
    openai.embed(ACME, [f"line {n}" for n in range(16)])
    assert (provider.requests, len(provider.texts)) == (1, 16)


def test_openai_takes_lists_of_numbers_from_a_server_that_sends_them(
    openai: OpenAIEmbedder, provider: OpenAIServer
) -> None:
    (coded,) = openai.embed(ACME, ["water gauge"])
    provider.floats = True
    (plain,) = openai.embed(ACME, ["water gauge"])
    np.testing.assert_array_equal(coded, plain)


def test_openai_takes_an_answer_that_does_not_report_its_tokens(openai: OpenAIEmbedder, provider: OpenAIServer) -> None:
    provider.reports_usage = False
    assert is_unit(openai.embed(ACME, ["water gauge"])[0], openai)


def test_openai_divides_a_batch_that_is_too_large_for_a_request(openai: OpenAIEmbedder, provider: OpenAIServer) -> None:
    texts = [f"{n:02} " + "é" * (WINDOW_BYTES // 2 - 10) for n in range(100)]
    vectors = OpenAIEmbedder("m", 64, batch=100).embed(ACME, texts)
    assert all(is_unit(vector, openai) for vector in vectors)
    assert provider.requests == 1
    assert provider.texts == texts[: len(vectors)]
    assert sum(len(text.encode()) for text in texts[: len(vectors) + 1]) > REQUEST_BYTES
    assert sum(len(text.encode()) for text in provider.texts) <= REQUEST_BYTES


def test_openai_counts_the_window_in_bytes(openai: OpenAIEmbedder) -> None:
    assert openai.fits("a" * WINDOW_BYTES)
    assert not openai.fits("a" * (WINDOW_BYTES + 1))
    assert not openai.fits("é" * (WINDOW_BYTES // 2 + 1))
    assert not openai.fits("\ud800" * (WINDOW_BYTES + 1))


@pytest.mark.parametrize("bad", [{0}, {15}, {3, 4, 11}], ids=lambda bad: "-".join(map(str, sorted(bad))))
def test_openai_finds_the_refused_texts_and_embeds_the_others(
    openai: OpenAIEmbedder, provider: OpenAIServer, bad: set[int]
) -> None:
    """A text that the provider refuses does not affect the others of its batch, and none of them is paid for twice."""
    texts = [f"line {n}" + " forbidden" * (n in bad) for n in range(16)]
    provider.refuse = lambda text: "forbidden" in text
    vectors = openai.embed(ACME, texts)
    assert {n for n, vector in enumerate(vectors) if vector is None} == bad
    assert all(is_unit(vector, openai) for n, vector in enumerate(vectors) if n not in bad)
    paid = [text for text in provider.texts if text in texts]
    assert sorted(paid) == sorted(text for n, text in enumerate(texts) if n not in bad)


def test_openai_refusing_every_text_of_a_batch_is_not_an_error_of_the_call(
    openai: OpenAIEmbedder, provider: OpenAIServer
) -> None:
    provider.refuse = lambda text: "forbidden" in text
    assert list(openai.embed(ACME, ["forbidden"] * 4)) == [None] * 4


def test_a_call_that_openai_refuses_whatever_the_text_is_reported_at_once(
    openai: OpenAIEmbedder, provider: OpenAIServer
) -> None:
    """A wrong parameter is a 400 too. It must not make every chunk 'refused', nor cost a request for each."""
    provider.refuse = lambda text: True
    with pytest.raises(EmbeddingMisconfigured, match="PENSTOCK_OPENAI_DIMENSIONS"):
        openai.embed(ACME, [f"line {n}" for n in range(16)])
    assert provider.requests == 2


@pytest.mark.invariant("I5")
@pytest.mark.parametrize("status", [401, 403, 404])
def test_what_the_user_must_repair_is_permanent_and_named(
    openai: OpenAIEmbedder, provider: OpenAIServer, status: int
) -> None:
    """I5."""
    provider.fail = [Failure(status)]
    with pytest.raises(EmbeddingMisconfigured, match="OPENAI_API_KEY") as caught:
        openai.embed(ACME, ["x"])
    assert str(status) in str(caught.value)


def test_a_wrong_key_is_reported_without_showing_it(provider: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    with pytest.raises(EmbeddingMisconfigured) as caught:
        OpenAIEmbedder("m", 8).embed(ACME, ["x"])
    assert "sk-secret" not in str(caught.value)


def test_a_missing_key_is_reported_when_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    embedder = OpenAIEmbedder("m", 8)
    with pytest.raises(EmbeddingMisconfigured, match="no API key"):
        embedder.embed(ACME, ["x"])


@pytest.mark.invariant("I4", "I9")
@pytest.mark.parametrize("status", [408, 409, 500, 502, 503, 529])
def test_what_may_pass_is_transient_and_tried_once(openai: OpenAIEmbedder, provider: OpenAIServer, status: int) -> None:
    """I4: only the queue retries. I9: no error of the SDK leaves the adapter."""
    provider.fail = [Failure(status)]
    with pytest.raises(Transient, match=str(status)) as caught:
        openai.embed(ACME, ["x"])
    assert caught.value.retry_after is None
    assert provider.requests == 1
    (vector,) = openai.embed(ACME, ["x"])
    assert is_unit(vector, openai)


@pytest.mark.invariant("I4")
@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": "7", "retry-after-ms": "1500"}, 1.5),
        ({"Retry-After": "soon"}, PAUSE_SECONDS),
        ({}, PAUSE_SECONDS),
        ({"Retry-After": formatdate(0, usegmt=True)}, 0),
        ({"Retry-After": "7", "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "9s"}, 7),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "9s"}, 9),
    ],
    ids=str,
)
def test_a_refusal_for_being_asked_too_much_is_waited_for_and_no_attempt(
    openai: OpenAIEmbedder, provider: OpenAIServer, headers: dict[str, str], seconds: float
) -> None:
    """I4: the wait is as long as the provider asks for, in whichever header."""
    provider.fail = [Failure(429, headers)]
    with pytest.raises(NotYet, match="429") as caught:
        openai.embed(ACME, ["x"])
    assert caught.value.seconds == pytest.approx(seconds, abs=0.5)
    assert provider.requests == 1


def test_while_the_provider_is_waited_for_it_is_not_asked(openai: OpenAIEmbedder, provider: OpenAIServer) -> None:
    provider.fail = [Failure(429, {"Retry-After": "60"})]
    for _ in range(3):
        with pytest.raises(NotYet):
            openai.embed(ACME, ["x"])
    assert provider.requests == 1
    assert openai.embed_query(ACME, "x") is not None, "a question is asked all the same"


def test_a_lack_of_credit_counts_as_an_attempt_since_no_waiting_ends_it(
    openai: OpenAIEmbedder, provider: OpenAIServer
) -> None:
    """Otherwise its documents would wait for ever, and nobody would learn of it."""
    provider.fail = [Failure(429, body='{"error": {"message": "pay", "code": "insufficient_quota"}}')]
    with pytest.raises(Transient, match="insufficient_quota") as caught:
        openai.embed(ACME, ["x"])
    assert not isinstance(caught.value, NotYet)


def test_what_the_headers_of_an_answer_say_is_left_is_heeded(openai: OpenAIEmbedder, provider: OpenAIServer) -> None:
    provider.headers = {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "30s"}
    assert len(openai.embed(ACME, ["x"])) == 1
    with pytest.raises(NotYet) as caught:
        openai.embed(ACME, ["x"])
    assert 29 < caught.value.seconds <= 30
    assert provider.requests == 1


def test_a_silent_provider_is_left_alone_and_then_asked_for_a_word(provider: OpenAIServer) -> None:
    clock = FakeClock()
    openai = OpenAIEmbedder("m", 64, texts=RateLimiter(LocalBudgetTable(), "m", clock))
    provider.rule = lambda: Failure(503)
    kinds = []
    for _ in range(SILENT_AFTER + 5):
        with pytest.raises(Transient) as caught:
            openai.embed(ACME, ["x"])
        kinds.append(type(caught.value))
    assert kinds == [Transient] * (SILENT_AFTER - 1) + [NotYet] * 6
    assert provider.requests == SILENT_AFTER
    clock.pass_time(FIRST_SILENCE)
    provider.rule = lambda: None
    openai.embed(ACME, ["y"])
    assert provider.texts == ["word", "y"]
    openai.embed(ACME, ["z"])
    assert provider.texts == ["word", "y", "z"]


def test_a_text_that_makes_the_provider_fail_is_distinguished_from_an_outage(provider: OpenAIServer) -> None:
    """Its attempts are used up in the end. Otherwise it would wait for ever, and shut out all other texts."""
    clock = FakeClock()
    openai = OpenAIEmbedder("m", 64, texts=RateLimiter(LocalBudgetTable(), "m", clock))
    provider.crash = lambda text: "deadly" in text
    attempts = 0
    for _ in range(40):
        with pytest.raises(Transient) as caught:
            openai.embed(ACME, ["deadly"])
        attempts += not isinstance(caught.value, NotYet)
        clock.pass_time(timedelta(seconds=caught.value.retry_after or 0))
    assert attempts >= 10


def test_a_batch_is_no_larger_than_a_minute_s_tokens(provider: OpenAIServer) -> None:
    texts = [f"{number:02} " + "word " * 200 for number in range(100)]
    limit = Amount(100, 10_000)
    openai = OpenAIEmbedder("m", 64, texts=RateLimiter(LocalBudgetTable(), "m", FakeClock(), limit=limit))
    vectors = openai.embed(ACME, texts)
    assert 1 < len(vectors) < 100
    assert sum(map(len, provider.texts)) <= 10_000 * BYTES_PER_TOKEN


def test_what_was_paid_for_while_a_refused_text_is_looked_for_is_kept(
    openai: OpenAIEmbedder, provider: OpenAIServer
) -> None:
    texts = [f"line {n}" + " forbidden" * (n == 13) for n in range(16)]
    provider.refuse = lambda text: "forbidden" in text
    # the requests: the whole batch, a probe, the first half, the second half, and the first half of that
    provider.fail = [None, None, None, None, Failure(429)]
    first = openai.embed(ACME, texts)
    assert len(first) == 8
    assert all(is_unit(vector, openai) for vector in first)
    assert [text for text in provider.texts if text != "word"] == texts[:8]


def test_retry_after_may_be_a_date(openai: OpenAIEmbedder, provider: OpenAIServer) -> None:
    provider.fail = [Failure(429, {"Retry-After": formatdate(time.time() + 3600, usegmt=True)})]
    with pytest.raises(Transient) as caught:
        openai.embed(ACME, ["x"])
    assert caught.value.retry_after is not None
    assert 3500 < caught.value.retry_after <= 3600


@pytest.mark.parametrize(
    "failure",
    [
        Failure(0),
        Failure(200, body="<html>gateway</html>"),
        Failure(200, body="{}"),
        Failure(200, body='{"object": "list", "model": "m", "data": []}'),
        Failure(200, body='{"data": [{"index": 0, "embedding": "!!!!"}]}'),
        Failure(200, body='{"data": [{"index": 0, "embedding": null}]}'),
        Failure(500, body="not json"),
    ],
    ids=lambda failure: failure.body[:50] if failure.status else "closed",
)
def test_no_answer_or_one_that_cannot_be_read_is_transient(
    openai: OpenAIEmbedder, provider: OpenAIServer, failure: Failure
) -> None:
    provider.fail = [failure]
    with pytest.raises(Transient):
        openai.embed(ACME, ["x"])


def test_a_server_that_is_not_there_is_transient(monkeypatch: pytest.MonkeyPatch) -> None:
    with OpenAIServer() as gone:
        monkeypatch.setenv("OPENAI_BASE_URL", gone.url)
        monkeypatch.setenv("OPENAI_API_KEY", gone.key)
    with pytest.raises(Transient):
        OpenAIEmbedder("m", 8).embed(ACME, ["x"])


def test_vectors_of_other_dimensions_than_asked_for_are_refused(openai: OpenAIEmbedder, provider: OpenAIServer) -> None:
    provider.dimensions = 32
    with pytest.raises(EmbeddingMisconfigured, match="32 dimensions where 64"):
        openai.embed(ACME, ["x"])


def test_a_question_beyond_the_window_has_no_vector_and_asks_nobody(
    openai: OpenAIEmbedder, provider: OpenAIServer
) -> None:
    assert openai.embed_query(ACME, "word " * 2000) is None
    assert provider.requests == 0
