"""The fixtures that all unit tests share."""

from __future__ import annotations

import pytest

from tests.support.world import World


@pytest.fixture
def world() -> World:
    """A whole Penstock in memory. A test file that needs another one overrides this fixture under the same name."""
    return World()
