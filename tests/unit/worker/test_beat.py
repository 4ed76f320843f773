"""Beat sends sweeps at a steady rate, whatever the wall clock says."""

from __future__ import annotations

import time

import pytest
import time_machine
from celery import Celery
from celery.beat import ScheduleEntry

from penstock.worker.beat import sweeps

HOUR = 3600


@pytest.mark.invariant("I6")
def test_a_clock_that_is_set_back_by_an_hour_delays_no_sweep():
    """I6: the search for lost messages goes on."""
    with time_machine.travel(time.time() + HOUR):
        entry = ScheduleEntry(**sweeps(5.0), app=Celery(set_as_current=False))
    _, seconds = entry.is_due()
    assert 0 < seconds <= 5
