"""The real OpenSearch server that tests share. It is started once per session, and again by a test that killed it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from penstock.adapters.opensearch.server import Server
from penstock.local.opensearch import missing, opensearch
from penstock.local.port import HOST, free_port


def check_startable() -> None:
    """Skip the test, with the reason, where no server can be started. With PENSTOCK_SKIP_NOTHING, which is set where a
    change is judged, it fails instead."""
    if (why := missing()) is not None:
        (pytest.fail if os.environ.get("PENSTOCK_SKIP_NOTHING") else pytest.skip)(why)


@contextmanager
def unused_index_name(url: str) -> Iterator[str]:
    """An index name that no other test uses. All indexes whose names begin with it are removed at the end."""
    server, name = Server(url), f"test-{uuid4().hex[:12]}"
    try:
        yield name
    finally:
        server.ask("DELETE", f"/{name}-*")
        server.close()


class RealOpenSearch:
    """A server on one port with one data folder, so that its data survives a restart."""

    def __init__(self, state: Path) -> None:
        self._state, self._port = state, free_port()
        self._parts = ExitStack()
        self.url = f"http://{HOST}:{self._port}"

    def start(self) -> None:
        self._running = self._parts.enter_context(opensearch(self._state, port=self._port, brief=True))

    def kill(self) -> None:
        self._running.process.kill()
        self._parts.close()

    def remove(self) -> None:
        self._parts.close()
        shutil.rmtree(self._state.resolve(), ignore_errors=True)
