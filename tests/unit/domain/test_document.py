"""The record: its states and its leases."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.domain.document import Document, Original, earlier
from penstock.domain.errors import BadRequest, Fenced, IllegalTransition, Leased
from penstock.domain.ids import DocumentId, TenantId, document_id, tenant_id
from penstock.domain.lease import Lease
from penstock.domain.page_ranges import ranges, shortened
from penstock.domain.receipt import Receipt
from penstock.domain.status import FINAL, TRANSITIONS, Status
from penstock.ports import Change

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RECORD = Document(
    TenantId("acme"), DocumentId("one"), 1, Status.QUEUED, NOW, Original("k", "v", "n", 1, "e"), source="api"
)


@pytest.mark.invariant("I2")
@pytest.mark.parametrize("before", Status)
@pytest.mark.parametrize("after", Status)
def test_every_write_is_checked_against_the_transition_table(before: Status, after: Status) -> None:
    """I2: a Change is the only way to write."""
    old, new = replace(RECORD, status=before), replace(RECORD, status=after)
    if after is before or after in TRANSITIONS[before]:
        Change(old, new)
    else:
        with pytest.raises(IllegalTransition):
            Change(old, new)


def test_every_state_that_is_not_final_leads_to_a_final_one() -> None:
    for status in Status:
        assert status in FINAL or TRANSITIONS[status] & (FINAL | {Status.EXTRACTING})


def test_epochs_grow_with_every_lease() -> None:
    first = Lease().acquired(NOW, timedelta(seconds=10))
    second = first.released(first.epoch).acquired(NOW, timedelta(seconds=10))
    assert (first.epoch, second.epoch) == (1, 2)


@pytest.mark.invariant("I7")
def test_a_live_lease_is_not_taken() -> None:
    """I7."""
    held = Lease().acquired(NOW, timedelta(seconds=10))
    with pytest.raises(Leased):
        held.acquired(NOW + timedelta(seconds=9), timedelta(seconds=10))


@pytest.mark.invariant("I4")
def test_a_lease_that_ended_without_a_word_is_an_attempt() -> None:
    """I4."""
    lost = Lease().acquired(NOW, timedelta(seconds=10)).acquired(NOW + timedelta(seconds=10), timedelta(seconds=10))
    assert (lost.epoch, lost.attempts) == (2, 1)


@pytest.mark.invariant("I2")
def test_an_old_epoch_neither_renews_nor_returns() -> None:
    """I2."""
    work = Lease().acquired(NOW, timedelta(seconds=10)).acquired(NOW + timedelta(seconds=10), timedelta(seconds=10))
    with pytest.raises(Fenced):
        work.renewed(1, NOW)
    with pytest.raises(Fenced):
        work.released(1)


@pytest.mark.parametrize(
    ("receipt", "verdict"),
    [
        (Receipt("pdf", "e", True, 2, 2, chunks=3, vectors=3), Status.INDEXED),
        (Receipt("pdf", "e", True, 2, 1, pages_without_text="2", chunks=3, vectors=3), Status.INDEXED),
        (Receipt("pdf", "e", True, 2, 1, pages_damaged="2", chunks=3, vectors=3), Status.PARTIAL),
        (Receipt("pdf", "e", True, 2, 2, chunks=3, vectors=2, refused="1"), Status.PARTIAL),
        (Receipt("pdf", "e", True, 2, 0, pages_without_text="1-2"), Status.NO_TEXT),
    ],
)
def test_a_receipt_decides_the_status(receipt: Receipt, verdict: Status) -> None:
    assert receipt.verdict is verdict


@pytest.mark.parametrize(("first", "second"), [("01", "02"), ("0055", "006"), ("0A", "0b"), ("1", "11")])
def test_sequencers_are_compared_as_s3_says(first: str, second: str) -> None:
    assert earlier(first, second)
    assert not earlier(second, first)


@pytest.mark.invariant("I10")
@pytest.mark.parametrize("bad", ["", "A", "-a", "a/b", "a.b", "ä", "a" * 64, "a b"])
def test_a_tenant_id_that_could_leave_its_place_is_refused(bad: str) -> None:
    """I10: it becomes part of keys and of file names."""
    with pytest.raises(BadRequest):
        tenant_id(bad)


@pytest.mark.parametrize("bad", ["", "../x", "a/b", ".a", "a b", "a" * 129, "ä"])
def test_a_document_id_that_could_leave_its_place_is_refused(bad: str) -> None:
    with pytest.raises(BadRequest):
        document_id(bad)


@given(st.sets(st.integers(1, 500)))
def test_ranges_say_exactly_the_numbers(numbers: set[int]) -> None:
    said: set[int] = set()
    for run in filter(None, ranges(sorted(numbers)).split(",")):
        first, _, last = run.partition("-")
        said |= set(range(int(first), int(last or first) + 1))
    assert said == numbers


def test_long_ranges_are_cut_at_a_comma() -> None:
    assert shortened("1,3,5,7", 4) == "1,3,…"
    assert shortened("1-3", 4) == "1-3"
