"""A selection of the fault suite that every test run includes: each service and each kind of fault. `make faults` runs
the whole suite."""

from __future__ import annotations

import os
import random

import pytest

from tests.faults.cases import CASES as ALL
from tests.faults.cases import SELECTION
from tests.faults.run import Outcome, run_group

GROUP, CASES = SELECTION


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    seed = int(os.environ.get("SEED") or random.randrange(10_000))
    print(f"seed {seed}: to do the same again, SEED={seed}")
    return run_group(GROUP, CASES, seed, tmp_path_factory.mktemp("faults"))


@pytest.mark.invariant("I2", "I3", "I4", "I5", "I6", "I7")
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", [case.name for case in CASES])
def test_what_was_accepted_comes_to_its_end_whole_and_paid_for_once(name: str, outcome: Outcome) -> None:
    """I2, I3, I4, I5, I6, I7."""
    result = next((each for each in outcome.results if each.case.name == name), None)
    assert result is not None, outcome.rest
    assert not result.failed, f"{result.done} -> {result.seen}"


@pytest.mark.invariant("I6")
def test_nothing_is_left_that_anybody_would_have_to_clear_up(outcome: Outcome) -> None:
    """I6: queues empty, nothing for the doctor to find, and no process ended but those that were killed."""
    assert not outcome.failed, outcome.rest


def test_what_belongs_to_a_case_is_never_taken_for_anothers() -> None:
    marks = [case.mark for case in ALL]
    assert [(one, other) for one in marks for other in marks if one is not other and one in other] == []
