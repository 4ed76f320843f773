"""The fixtures and options that all tests share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling

from penstock.adapters.opensearch.index import OpenSearchIndex
from penstock.adapters.opensearch.server import Server
from penstock.domain.chunk import Space
from penstock.ports import SearchIndex
from tests.support.opensearch_server import RealOpenSearch, check_startable, unused_index_name
from tests.support.stubs.openai_server import OpenAIServer

# No deadline for an example: a slow machine is not a failure.
settings.register_profile("penstock", deadline=None)
settings.load_profile("penstock")


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIServer]:
    """An embedding provider, to which the settings of the environment point."""
    with OpenAIServer() as server:
        monkeypatch.setenv("OPENAI_API_KEY", server.key)
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        yield server


@pytest.fixture(scope="session")
def opensearch_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealOpenSearch]:
    """A real OpenSearch server that this session starts."""
    check_startable()
    server = RealOpenSearch(tmp_path_factory.mktemp("opensearch") / "state")
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def opensearch_url(request: pytest.FixtureRequest) -> str:
    """The address of a real server: the one that OPENSEARCH_URL names, else one that is started."""
    return os.environ.get("OPENSEARCH_URL") or request.getfixturevalue("opensearch_server").url


@pytest.fixture
def open_on_server(opensearch_url: str) -> Iterator[Callable[[Space], SearchIndex]]:
    """A function that opens an index of a real server. Each call opens the same index; it is removed at the end."""
    server = Server(opensearch_url)
    with unused_index_name(opensearch_url) as name:
        yield lambda space: OpenSearchIndex(server, space, alias=name)
    server.close()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--deployed", action="store_true", help="tests/e2e: run against the template as it is deployed to the emulator"
    )
    parser.addoption("--invariant", metavar="NAME", help="run only the tests of this invariant, for example I7")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep only the tests of the invariant that `--invariant` names."""
    name = config.getoption("--invariant")
    if name is None:
        return
    kept = [item for item in items if any(name in mark.args for mark in item.iter_markers("invariant"))]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


class OneWorkerForOpenSearch(LoadFileScheduling):  # type: ignore[misc]  # it has no types
    """One of the processes that run tests takes all tests of OpenSearch: it starts the server, and may kill it."""

    def _split_scope(self, nodeid: str) -> str:
        return "opensearch" if "opensearch" in nodeid else str(super()._split_scope(nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> OneWorkerForOpenSearch:
    return OneWorkerForOpenSearch(config, log)
