"""The OpenSearch that tests share: started once for a session, and once more by whoever killed it."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from pathlib import Path

from penstock.local.opensearch import opensearch
from penstock.local.port import HOST, free_port


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
