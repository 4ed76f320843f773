"""The OpenSearch that tests share: started once for a session, and once more by whoever killed it."""

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
    """Where no server can be started, tests that need one are skipped and say why, unless PENSTOCK_SKIP_NOTHING is set,
    as it is where a change is judged."""
    if (why := missing()) is not None:
        (pytest.fail if os.environ.get("PENSTOCK_SKIP_NOTHING") else pytest.skip)(why)


@contextmanager
def a_name(url: str) -> Iterator[str]:
    """Of an index that nobody else has; whatever is called by it is removed at the end."""
    server, name = Server(url), f"test-{uuid4().hex[:12]}"
    try:
        yield name
    finally:
        server.ask("DELETE", f"/{name}-*")
        server.close()


class OwnServer:
    """On one port, with one folder: what it held is there when it is started again."""

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
