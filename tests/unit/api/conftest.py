"""The fixtures that the tests of the API share."""

from __future__ import annotations

import pytest

from tests.support.api_door import Door


@pytest.fixture
def door() -> Door:
    """The API with an empty `World` behind it."""
    return Door()
