"""What all tests share."""

from __future__ import annotations

from hypothesis import settings

# No test times itself: a machine under load is not a failure.
settings.register_profile("penstock", deadline=None)
settings.load_profile("penstock")
