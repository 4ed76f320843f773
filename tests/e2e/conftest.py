"""What tests of this folder share: one stack for all that do not need their own, and podman."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.podman import Podman
from tests.e2e.stack import RunningStack, running_stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    state: Path = tmp_path_factory.mktemp("stack") / "state"
    with running_stack(state, PENSTOCK_MAX_FILE_BYTES="3000000", PENSTOCK_SHARD_CHUNKS="32") as running:
        yield running


@pytest.fixture(scope="session")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Podman:
    return Podman.limited(tmp_path_factory.mktemp("podman"))
