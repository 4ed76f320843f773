"""What tests of this folder share: one stack for all that do not need their own (a local one or, with --deployed, the
template on the emulator), and podman."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.deployment import deployment
from tests.e2e.limits import ENVIRONMENT
from tests.e2e.podman import Podman
from tests.e2e.stack import ROOT, Stack, running_stack
from tests.environment import environment_as_it_was


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    state = tmp_path_factory.mktemp("stack") / "state"
    there = deployment(state) if request.config.getoption("--deployed") else running_stack(state, **ENVIRONMENT)
    with there as running:
        yield running


@pytest.fixture(scope="session")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Podman:
    return Podman.limited(tmp_path_factory.mktemp("podman"))


@pytest.fixture
def at_the_root(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """In the repository's folder; what a test takes into the environment there is gone afterwards."""
    monkeypatch.chdir(ROOT)
    with environment_as_it_was():
        yield
