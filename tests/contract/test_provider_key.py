"""The embedding provider's key in the parameter store: it is read once, and the error says why it cannot be read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING
from uuid import uuid4

import boto3
import pytest
from botocore.stub import Stubber

from penstock.adapters.aws.provider_key import StoredKey
from penstock.domain.errors import EmbeddingMisconfigured, Misconfigured, Transient
from penstock.domain.ids import TenantId
from penstock.settings import Settings
from penstock.wiring import services
from tests.contract.conftest import Stack
from tests.support.stubs.openai_server import OpenAIServer

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

ACME = TenantId("acme")
BOTH = pytest.mark.parametrize("stack", ["moto", "ministack"], indirect=True)


@pytest.fixture
def name() -> str:
    return f"/penstock/{uuid4().hex}"


class Counted:
    """A function that makes a client of the stack, and counts its calls."""

    def __init__(self, make: Callable[[], SSMClient]) -> None:
        self._make = make
        self.made = 0

    def __call__(self) -> SSMClient:
        self.made += 1
        return self._make()


def stored(stack: Stack, name: str, value: str) -> None:
    stack.clients.ssm().put_parameter(Name=name, Value=value, Type="SecureString", Overwrite=True)


@BOTH
def test_the_key_is_read_decrypted_when_first_asked_for_and_kept(stack: Stack, name: str) -> None:
    client = Counted(stack.clients.ssm)
    key = StoredKey(client, name)
    assert client.made == 0
    stored(stack, name, "sk-first\n")
    assert key() == "sk-first"
    stored(stack, name, "sk-second")
    assert (key(), client.made) == ("sk-first", 1)


@BOTH
def test_a_parameter_that_is_not_there_is_named_and_looked_for_again(stack: Stack, name: str) -> None:
    key = StoredKey(stack.clients.ssm, name)
    with pytest.raises(Misconfigured, match=rf"'{name}' \(PENSTOCK_PROVIDER_KEY\).*ParameterNotFound"):
        key()
    stored(stack, name, "sk-mended")
    assert key() == "sk-mended"


@BOTH
def test_a_parameter_of_blanks_is_no_key(stack: Stack, name: str) -> None:
    stored(stack, name, " \n")
    with pytest.raises(Misconfigured, match=f"'{name}'.*white space"):
        StoredKey(stack.clients.ssm, name)()


@pytest.fixture
def answering(credentials: None) -> Iterator[Stubber]:
    """Answers that the emulators never give, since they allow everything and never fail."""
    with Stubber(boto3.client("ssm", region_name="us-east-1")) as stubber:
        yield stubber


@pytest.mark.invariant("I5", "I9")
@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("AccessDeniedException", 400, Misconfigured),
        ("InvalidKeyId", 400, Misconfigured),
        ("ThrottlingException", 400, Transient),
        ("InternalServerError", 500, Transient),
    ],
)
def test_what_the_store_refuses_is_misconfigured_and_what_passes_is_transient(
    answering: Stubber, code: str, status: int, kind: type[Exception]
) -> None:
    """I5, I9."""
    answering.add_client_error("get_parameter", code, http_status_code=status)
    with pytest.raises(kind, match=code):
        StoredKey(lambda: answering.client, "/penstock/key")()


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIServer]:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with OpenAIServer(key="sk-stored") as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        yield server


def configured(stack: Stack, name: str) -> Settings:
    return Settings(
        bucket=stack.provisioned.bucket,
        table=stack.provisioned.table,
        queues=stack.provisioned.queues,
        dead_letters=stack.provisioned.dead_letters,
        provider_key=name,
        openai_dimensions=8,
    )


@pytest.mark.invariant("I11")
@pytest.mark.parametrize("stack", ["ministack"], indirect=True)
def test_texts_are_embedded_with_the_stored_key_which_no_environment_ever_has(
    stack: Stack, name: str, provider: OpenAIServer
) -> None:
    """I11: the environment, which a child process could inherit, does not contain the key."""
    stored(stack, name, "sk-stored")
    before = dict(os.environ)
    embedder = services(configured(stack, name), clients=stack.clients).embedder
    assert (len(embedder.embed(ACME, ["a weir"])), provider.requests) == (1, 1)
    assert embedder.embed_query(ACME, "a weir") is not None
    assert dict(os.environ) == before
    assert "sk-stored" not in str(before)


@pytest.mark.parametrize("stack", ["ministack"], indirect=True)
def test_a_stored_key_that_the_provider_refuses_says_where_it_is_from(
    stack: Stack, name: str, provider: OpenAIServer
) -> None:
    stored(stack, name, "sk-wrong")
    embedder = services(configured(stack, name), clients=stack.clients).embedder
    with pytest.raises(EmbeddingMisconfigured, match="PENSTOCK_PROVIDER_KEY") as refused:
        embedder.embed(ACME, ["a weir"])
    assert "sk-wrong" not in str(refused.value)
