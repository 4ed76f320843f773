"""The adapters that the suites run on: in memory, on moto and on ministack, the emulator of the local stack."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import uuid4

import pytest
from moto.server import ThreadedMotoServer

from penstock.adapters.aws.budget import DynamoProviderBudgetTable
from penstock.adapters.aws.clients import Clients, aws_clients
from penstock.adapters.aws.documents import DynamoDocumentTable
from penstock.adapters.aws.keys import DynamoKeyTable
from penstock.adapters.aws.objects import S3ObjectStore
from penstock.adapters.aws.pings import DynamoPingTable
from penstock.adapters.aws.uploads import DynamoUploadTable
from penstock.domain.ids import TenantId, tenant_id
from penstock.local.emulator import emulator
from penstock.local.port import free_port
from penstock.local.provision import Provisioned, provision
from penstock.ports import DocumentTable, KeyTable, ObjectStore, PingTable, ProviderBudgetTable, UploadTable
from penstock.rate_limit.local_budget import LocalBudgetTable
from tests.support.fakes.documents import FakeDocumentTable
from tests.support.fakes.keys import FakeKeyTable
from tests.support.fakes.objects import FakeObjectStore
from tests.support.fakes.pings import FakePingTable
from tests.support.fakes.uploads import FakeUploadTable
from tests.support.paths import ROOT

EVERYWHERE = ["fake", "moto", "ministack"]


@dataclass(frozen=True)
class Stack:
    """The resources of template.yaml, created on an emulator."""

    url: str
    clients: Clients
    provisioned: Provisioned


@pytest.fixture(scope="session")
def credentials() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ACCESS_KEY_ID", "test")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "test")
        environment.setenv("AWS_REGION", "us-east-1")
        environment.delenv("AWS_ENDPOINT_URL", raising=False)
        yield


@pytest.fixture(scope="session")
def moto(credentials: None) -> Iterator[Stack]:
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield _stack(f"http://{host}:{port}")
    finally:
        server.stop()


@pytest.fixture(scope="session")
def ministack(credentials: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    log = tmp_path_factory.mktemp("emulator") / "log"
    with emulator(ROOT / ".venv-emulator/bin/python", free_port(), log) as running:
        yield _stack(running.url)


def _stack(url: str) -> Stack:
    clients = aws_clients(url)
    return Stack(url, clients, provision(clients, ROOT / "template.yaml", "penstock"))


@pytest.fixture
def tenant() -> TenantId:
    """A tenant that no other test uses, because the emulators are shared."""
    return tenant_id(f"tenant-{uuid4().hex[:12]}")


@pytest.fixture
def stranger() -> TenantId:
    return tenant_id(f"stranger-{uuid4().hex[:12]}")


@pytest.fixture
def stack(request: pytest.FixtureRequest) -> Stack:
    """A stack for tests of adapters on AWS only. Parametrize it with the emulators that can show the behaviour."""
    made: Stack = request.getfixturevalue(request.param)
    return made


@pytest.fixture(params=EVERYWHERE)
def objects(request: pytest.FixtureRequest) -> ObjectStore:
    if request.param == "fake":
        return FakeObjectStore()
    made: Stack = request.getfixturevalue(request.param)
    return S3ObjectStore(made.clients.s3, made.provisioned.bucket)


@pytest.fixture(params=EVERYWHERE)
def documents(request: pytest.FixtureRequest) -> DocumentTable:
    if request.param == "fake":
        return FakeDocumentTable()
    made: Stack = request.getfixturevalue(request.param)
    return DynamoDocumentTable(made.clients.dynamodb, made.provisioned.table)


@pytest.fixture(params=EVERYWHERE)
def keys(request: pytest.FixtureRequest) -> KeyTable:
    if request.param == "fake":
        return FakeKeyTable()
    made: Stack = request.getfixturevalue(request.param)
    return DynamoKeyTable(made.clients.dynamodb, made.provisioned.table)


@pytest.fixture(params=EVERYWHERE)
def budgets(request: pytest.FixtureRequest) -> ProviderBudgetTable:
    if request.param == "fake":
        return LocalBudgetTable()
    made: Stack = request.getfixturevalue(request.param)
    return DynamoProviderBudgetTable(made.clients.dynamodb, made.provisioned.table)


@pytest.fixture(params=EVERYWHERE)
def pings(request: pytest.FixtureRequest) -> PingTable:
    if request.param == "fake":
        return FakePingTable()
    made: Stack = request.getfixturevalue(request.param)
    return DynamoPingTable(made.clients.dynamodb, made.provisioned.table)


@pytest.fixture(params=EVERYWHERE)
def uploads(request: pytest.FixtureRequest) -> UploadTable:
    if request.param == "fake":
        return FakeUploadTable()
    made: Stack = request.getfixturevalue(request.param)
    return DynamoUploadTable(made.clients.dynamodb, made.provisioned.table)
