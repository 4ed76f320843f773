"""Fixtures of the end-to-end tests: each index in turn, one stack per index for all tests that need no stack of their
own (a local one or, with --deployed, the template on the emulator), and podman."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.deployment import deployment
from tests.e2e.limits import ENVIRONMENT
from tests.e2e.podman import Podman
from tests.e2e.stack import ROOT, Stack, running_stack
from tests.support.environment import restored_environment
from tests.support.opensearch_server import check_startable, unused_index_name


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test that uses a stack or an index on every index. A deployment has only one."""
    if "index" in metafunc.fixturenames:
        deployed = metafunc.config.getoption("--deployed")
        metafunc.parametrize("index", ["sqlite"] if deployed else ["sqlite", "opensearch"], scope="session")


@pytest.fixture(scope="session")
def stack(index: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    state = tmp_path_factory.mktemp("stack") / "state"
    if request.config.getoption("--deployed"):
        with deployment(state) as deployed:
            yield deployed
    else:
        with _index_settings(index, request) as settings, running_stack(state, **ENVIRONMENT, **settings) as running:
            yield running


@pytest.fixture
def on_index(index: str, request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """The environment variables that choose the index, for a stack of the test's own."""
    with _index_settings(index, request) as settings:
        yield settings


@pytest.fixture
def on_its_own(index: str, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The same for a stack that starts its index itself, with its state in `tmp_path`/state."""
    if index == "opensearch":
        check_startable()
    yield {"PENSTOCK_INDEX": index}
    shutil.rmtree((tmp_path / "state/opensearch").resolve(), ignore_errors=True)


@contextmanager
def _index_settings(index: str, request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    if index == "sqlite":
        yield {"PENSTOCK_INDEX": index}
        return
    url = request.getfixturevalue("opensearch_url")
    with unused_index_name(url) as name:
        yield {"PENSTOCK_INDEX": index, "PENSTOCK_INDEX_URL": url, "PENSTOCK_INDEX_NAME": name}


@pytest.fixture(scope="session")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Podman:
    return Podman.limited(tmp_path_factory.mktemp("podman"))


@pytest.fixture
def at_the_root(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Change to the repository's folder, and restore the environment afterwards."""
    monkeypatch.chdir(ROOT)
    with restored_environment():
        yield
