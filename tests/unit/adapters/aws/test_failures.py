"""An answer that is not from AWS, such as a proxy's page or a sign-in form, is an error."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from penstock.adapters.aws.clients import aws_clients
from penstock.adapters.aws.objects import S3ObjectStore
from penstock.adapters.aws.queue import SqsTaskQueue
from penstock.domain.errors import Transient
from penstock.domain.ids import TenantId
from penstock.domain.task import Lane, Message, Stage
from tests.support.counting_proxy import Answer, Override, Request, Sender, Watcher, counting_proxy

TENANT = TenantId("acme")
PAGES = {"in UTF-8": b"<html>Sign in</html>", "in no UTF-8": b"<html>\xff\xfe</html>", "empty": b"", "JSON": b"{}"}


class Page(Watcher):
    """A server that answers every request with this page."""

    def __init__(self, body: bytes) -> None:
        self.body = body

    def before_forwarding(self, request: Request, sender: Sender) -> Override | None:
        return lambda _: Answer(200, {"Content-Type": "text/html"}, self.body)


@pytest.fixture(params=PAGES)
def address(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    own = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "eu-central-1"}
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    with counting_proxy("http://127.0.0.1:1", Page(PAGES[request.param])) as meter:
        yield meter.url


@pytest.mark.invariant("I5", "I9")
def test_a_message_is_not_taken_for_sent_because_somebody_said_200(address: str) -> None:
    """I5, I9: the error is transient, and no exception of botocore leaves the adapter."""
    queue = SqsTaskQueue(aws_clients(address, publish_retries=0).sqs, {"extract-standard": f"{address}/queue"}, {})
    with pytest.raises(Transient):
        queue.send(Message(Stage.EXTRACT, TENANT, "one", 1), Lane.STANDARD)


@pytest.mark.invariant("I5")
def test_a_page_of_somebody_else_is_not_taken_for_the_bytes_of_a_file(address: str) -> None:
    """I5: otherwise something else would be indexed than was uploaded."""
    store = S3ObjectStore(aws_clients(address).s3, "bucket")
    with pytest.raises(Transient), store.get(TENANT, "files/acme/one") as blocks:
        b"".join(blocks)
