"""OpenSearch over HTTP: the meaning of its answers, the size of bulk requests, and the login."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

import numpy as np
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from penstock.adapters.opensearch.bulk import FIRST_WAIT, LEAST_BYTES, MOST_BYTES, TRIES, items_of, send
from penstock.adapters.opensearch.login import Login
from penstock.adapters.opensearch.server import Server
from penstock.domain.chunk import Chunk, Entry, Space
from penstock.domain.errors import Misconfigured, PenstockError, Refused, Transient
from penstock.domain.ids import BuildId, DocumentId, TenantId
from tests.support.stubs.opensearch_server import OpenSearchStub, ReceivedRequest, Reply, bulk_answer

ACME = TenantId("acme")
SPACE = Space("letters", 8)
BUSY = (429, "rejected_execution_exception", "queue is full")


@pytest.fixture
def stub() -> Iterator[OpenSearchStub]:
    with OpenSearchStub() as running:
        yield running


def entries(count: int, letters: int = 20) -> list[Entry]:
    vector = np.ones(8, np.float32) / np.sqrt(8, dtype=np.float32)
    texts = (f"{n} " + "x" * letters for n in range(count))
    return [
        Entry(
            DocumentId("doc"), BuildId(1, 1), Chunk(n, text, 1, 1), SPACE.text_hash(text), vector, "n", "s", paged=False
        )
        for n, text in enumerate(texts)
    ]


def sent(asked: ReceivedRequest) -> list[str]:
    return [action["index"]["_id"] for action in asked.lines[::2]]


def put(stub: OpenSearchStub, what: list[Entry]) -> list[float]:
    """The waits, in seconds."""
    waits: list[float] = []
    send(Server(stub.url), items_of("i", ACME, what), waits.append)
    return waits


def test_requests_are_sized_by_bytes(stub: OpenSearchStub) -> None:
    put(stub, entries(3000, letters=4000))
    assert len(stub.requests) > 2
    assert all(len(asked.body) <= MOST_BYTES + 20_000 for asked in stub.requests)
    assert [id_ for asked in stub.requests for id_ in sent(asked)] == [f"acme:doc:1:1:{n}" for n in range(3000)]


def test_what_is_put_off_goes_again_later_and_in_smaller_parts(stub: OpenSearchStub) -> None:
    stub.replies = [Reply(body=bulk_answer({1: BUSY, 3: BUSY}, _of(5)))]
    assert put(stub, entries(5)) == [FIRST_WAIT]
    assert [sent(asked) for asked in stub.requests] == [
        [f"acme:doc:1:1:{n}" for n in range(5)],
        ["acme:doc:1:1:1", "acme:doc:1:1:3"],
    ]


def test_a_server_that_puts_everything_off_is_asked_ever_more_slowly_and_not_for_ever(stub: OpenSearchStub) -> None:
    stub.replies = [Reply(429, {"error": {"type": "circuit_breaking_exception", "reason": "too large"}})] * TRIES
    waits: list[float] = []
    with pytest.raises(Transient, match="put off"):
        send(Server(stub.url), items_of("i", ACME, entries(3)), waits.append)
    assert waits == [FIRST_WAIT * 2**n for n in range(TRIES - 1)]


def test_after_a_busy_answer_requests_are_smaller(stub: OpenSearchStub) -> None:
    stub.replies = [Reply(429, {})]
    put(stub, entries(2000, letters=4000))
    assert max(len(asked.body) for asked in stub.requests[1:]) <= MOST_BYTES // 2 + 20_000
    assert max(len(asked.body) for asked in stub.requests[1:]) > LEAST_BYTES


def test_a_request_that_is_too_large_is_divided_until_it_is_one_chunk(stub: OpenSearchStub) -> None:
    stub.replies = [Reply(413, {})]
    put(stub, entries(4))
    assert len(stub.requests) == 2
    stub.replies = [Reply(413, {})]
    with pytest.raises(Refused, match="doc:1:1:0"):
        put(stub, entries(1))


@pytest.mark.invariant("I5")
def test_a_chunk_that_the_index_will_never_take_is_named_and_the_others_are_stored(stub: OpenSearchStub) -> None:
    """I5."""
    wrong = (400, "mapper_parsing_exception", "failed to parse field [vector]")
    stub.replies = [Reply(body=bulk_answer({2: wrong, 3: BUSY}, _of(5)))]
    with pytest.raises(Refused, match=r"doc:1:1:2.*vector"):
        put(stub, entries(5))
    assert sent(stub.requests[1]) == ["acme:doc:1:1:3"]


def test_a_chunk_that_failed_for_now_is_tried_again_by_the_queue(stub: OpenSearchStub) -> None:
    stub.replies = [
        Reply(body=bulk_answer({0: (503, "unavailable_shards_exception", "primary is not active")}, _of(2)))
    ]
    with pytest.raises(Transient, match="primary is not active"):
        put(stub, entries(2))


def _of(count: int) -> ReceivedRequest:
    lines = b"".join(item.lines for item in items_of("i", ACME, entries(count)))
    return ReceivedRequest("POST", "/_bulk", {}, lines)


@pytest.mark.invariant("I5", "I9")
@pytest.mark.parametrize(
    ("reply", "error", "says"),
    [
        (Reply(0), Transient, "did not answer"),
        (Reply(500, {"error": "x"}), Transient, "500"),
        (Reply(503, b"<html>"), Transient, "503"),
        (Reply(200, b"<html>"), Transient, "makes no sense"),
        (Reply(200, {"_shards": {"failed": 1}}), Transient, "in part"),
        (Reply(200, {"timed_out": True}), Transient, "in part"),
        (Reply(404, {"error": {"type": "index_not_found_exception", "reason": "no"}}), Transient, "does not exist"),
        (Reply(403, {"error": {"type": "cluster_block_exception", "reason": "read-only"}}), Transient, "read-only"),
        (Reply(401, b"Unauthorized"), Misconfigured, "PENSTOCK_INDEX_PASSWORD"),
        (Reply(403, {"Message": "User: anonymous is not authorized"}), Misconfigured, "access policy"),
        (Reply(400, {"error": {"type": "parsing_exception", "reason": "bad"}}), Refused, "bad"),
    ],
    ids=str,
)
def test_each_answer_means_one_thing(stub: OpenSearchStub, reply: Reply, error: type[PenstockError], says: str) -> None:
    """I5, I9: no exception of the SDK leaves the adapter."""
    stub.replies = [reply]
    with pytest.raises(error, match=says):
        Server(stub.url).ask("POST", "/i/_search", {})


def test_a_server_that_is_not_there_is_transient() -> None:
    with pytest.raises(Transient, match="did not answer"):
        Server("http://127.0.0.1:9").ask("GET", "/")


@pytest.mark.parametrize("url", ["", "localhost:9200", "ftp://x", "http://"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(Misconfigured, match="PENSTOCK_INDEX_URL"):
        Server(url)


def test_without_a_login_nothing_is_said_of_us(stub: OpenSearchStub) -> None:
    Server(stub.url).ask("GET", "/")
    assert "authorization" not in stub.requests[0].headers


def test_a_name_and_password_are_sent(stub: OpenSearchStub) -> None:
    Server(stub.url, Login("me", "secret")).ask("GET", "/")
    assert stub.requests[0].headers["authorization"] == "Basic bWU6c2VjcmV0"


@pytest.mark.parametrize("variable", ["AWS_REGION", "AWS_DEFAULT_REGION"])
def test_requests_to_a_managed_domain_are_signed(
    stub: OpenSearchStub, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of a role")
    monkeypatch.setenv(variable, "eu-central-1")
    server = Server(stub.url, Login(signed=True))
    server.ask("POST", "/i/_search", {"size": 0, "query": "ä"}, routing="acme", refresh=True)
    server.ask_many("/_bulk", b'{"index":{"_id":"a"}}\n{}\n')
    server.ask("GET", "/i/_mapping")
    assert len(stub.requests) == 3
    for asked in stub.requests:
        headers, credential = (
            asked.headers,
            f"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{asked.headers['x-amz-date'][:8]}",
        )
        assert headers["authorization"].startswith(f"{credential}/eu-central-1/es/aws4_request, ")
        assert headers["authorization"].endswith(f"Signature={_signature(stub.url, asked)}")
        assert headers["x-amz-security-token"] == "of a role"
        assert headers["x-amz-content-sha256"] == hashlib.sha256(asked.body).hexdigest()


def _signature(url: str, asked: ReceivedRequest) -> str:
    """The signature of the request that came, computed as AWS does it."""
    request = AWSRequest(method=asked.method, url=url + asked.path, data=asked.body)
    signed = re.search(r"SignedHeaders=([^,]+)", asked.headers["authorization"])
    assert signed is not None
    for name in signed[1].split(";"):
        request.headers[name] = asked.headers[name]
    request.context["timestamp"] = asked.headers["x-amz-date"]
    auth = SigV4Auth(Credentials("AKIDEXAMPLE", "s", "of a role"), "es", "eu-central-1")
    return str(auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request))


def test_without_aws_credentials_nothing_can_be_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    with pytest.raises(Misconfigured, match="PENSTOCK_INDEX_AUTH"):
        Server("https://x.eu-central-1.es.amazonaws.com", Login(signed=True)).ask("GET", "/")
