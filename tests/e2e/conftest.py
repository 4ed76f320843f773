"""One stack on each index for all tests of this folder that do not need their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from penstock.adapters.opensearch.server import Server
from tests.e2e.stack import RunningStack, running_stack


@pytest.fixture(scope="session", params=["sqlite", "opensearch"])
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    state: Path = tmp_path_factory.mktemp("stack") / "state"
    settings = {"PENSTOCK_MAX_FILE_BYTES": "3000000", "PENSTOCK_SHARD_CHUNKS": "32", "PENSTOCK_INDEX": request.param}
    if request.param == "sqlite":
        with running_stack(state, **settings) as running:
            yield running
        return
    url, name = request.getfixturevalue("opensearch_url"), f"test-{uuid4().hex[:12]}"
    with running_stack(state, **settings, PENSTOCK_INDEX_URL=url, PENSTOCK_INDEX_NAME=name) as running:
        yield running
    Server(url).ask("DELETE", f"/{name}-*")
