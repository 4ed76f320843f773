"""What all tests share."""

from __future__ import annotations

import pytest
from hypothesis import settings

# No test times itself: a machine under load is not a failure.
settings.register_profile("penstock", deadline=None)
settings.load_profile("penstock")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--deployed", action="store_true", help="tests/e2e: on the template, deployed to the emulator")
