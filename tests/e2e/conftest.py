"""What tests of this folder share: one stack for all that do not need their own (a local one, on each index where a
test asks for it, or, with --deployed, the template on the emulator), and podman."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from penstock.adapters.opensearch.server import Server
from tests.e2e.deployment import deployment
from tests.e2e.limits import ENVIRONMENT
from tests.e2e.podman import Podman
from tests.e2e.stack import ROOT, Stack, running_stack
from tests.environment import environment_as_it_was


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "stack" in metafunc.fixturenames:
        each = metafunc.definition.get_closest_marker("on_each_index") and not metafunc.config.getoption("--deployed")
        indices = ["sqlite", "opensearch"] if each else ["sqlite"]
        metafunc.parametrize("stack", indices, indirect=True, scope="session")


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    state = tmp_path_factory.mktemp("stack") / "state"
    if request.config.getoption("--deployed"):
        there = deployment(state)
    elif request.param == "opensearch":
        there = _on_opensearch(state, request.getfixturevalue("opensearch_url"))
    else:
        there = running_stack(state, **ENVIRONMENT)
    with there as running:
        yield running


@contextmanager
def _on_opensearch(state: Path, url: str) -> Iterator[Stack]:
    name = f"test-{uuid4().hex[:12]}"
    told = {"PENSTOCK_INDEX": "opensearch", "PENSTOCK_INDEX_URL": url, "PENSTOCK_INDEX_NAME": name}
    with running_stack(state, **ENVIRONMENT, **told) as running:
        yield running
    Server(url).ask("DELETE", f"/{name}-*")


@pytest.fixture(scope="session")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Podman:
    return Podman.limited(tmp_path_factory.mktemp("podman"))


@pytest.fixture
def at_the_root(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """In the repository's folder; what a test takes into the environment there is gone afterwards."""
    monkeypatch.chdir(ROOT)
    with environment_as_it_was():
        yield
