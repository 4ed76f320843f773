"""The API over a `World`: the real application and verbs with fakes behind them, and a key for a tenant."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import uvicorn
from fastapi.testclient import TestClient

from penstock.api.app import create_app
from penstock.documents.api_keys import create_key
from penstock.domain.ids import TenantId
from penstock.services import Services
from penstock.settings import Settings
from tests.support.world import TENANT, World

SMALL = 2_000
"""The size limit of a file in these tests, in bytes."""


def settings(**changes: Any) -> Settings:
    return Settings.from_environment(**{"max_file_bytes": SMALL, **changes})


@dataclass
class Door:
    """The API as its clients see it, and the world behind it."""

    world: World = field(default_factory=World)
    settings: Settings = field(default_factory=settings)

    def __post_init__(self) -> None:
        self.services: Services = self.world.services
        self.key = create_key(self.services, TENANT, "tests")
        self.app = create_app(lambda: self.services, self.settings)

    def client(self, key: str | None = None) -> TestClient:
        """A client that sends the tenant's key, or another one."""
        headers = {"Authorization": f"Bearer {key or self.key}"}
        return TestClient(self.app, headers=headers, follow_redirects=False, raise_server_exceptions=False)

    def stranger(self, tenant: str = "other") -> TestClient:
        """A client with the key of another tenant."""
        return self.client(create_key(self.services, TenantId(tenant), "tests"))

    def add(self, *files: tuple[str, bytes] | tuple[str, bytes, str], **fields: Any) -> Any:
        """Upload files and return the response. A field that is not a string is sent as JSON."""
        form = {name: value if isinstance(value, str) else json.dumps(value) for name, value in fields.items()}
        return self.client().post("/v1/documents", files=[("files", file) for file in files], data=form)

    def indexed(self, text: str, **fields: Any) -> str:
        """Add a document with this text and run it to its end. Returns its id."""
        (added,) = self.add(("file.txt", text.encode()), **fields).json()["documents"]
        self.world.drain()
        return str(added["document_id"])

    def broken(self, **parts: Any) -> Door:
        """Replace parts of the services behind the API."""
        self.services = replace(self.services, **parts)
        self.app = create_app(lambda: self.services, self.settings)
        return self


def is_problem(response: Any, status: int, code: str) -> Mapping[str, Any]:
    """Assert that the response is this problem, and return it."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem["code"] == code
    assert problem["status"] == status
    assert problem["type"] == f"urn:penstock:problem:{code}"
    assert problem["title"]
    assert problem["detail"]
    assert problem["instance"] == f"urn:uuid:{response.headers['x-request-id']}"
    return problem


@contextmanager
def served(door: Door, *, work: bool = True) -> Iterator[str]:
    """Serve the application on a real port, and run what is queued in a thread. Yields the address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        server = uvicorn.Server(uvicorn.Config(door.app, log_config=None, lifespan="off"))
        serving = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        over = threading.Event()
        working = threading.Thread(target=_work, args=(door, over))
        serving.start()
        if work:
            working.start()
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            over.set()
            server.should_exit = True
            serving.join(10)
            if work:
                working.join(10)


def _work(door: Door, over: threading.Event) -> None:
    while not over.wait(0.01):
        door.world.drain()
