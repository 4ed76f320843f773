"""Arrival: the decision by the record's state and the bytes that came in, row by row of its table."""

from __future__ import annotations

from dataclasses import replace

import pytest

from penstock.documents.arrival import Arrival, Decision, decide, next_record
from penstock.domain.document import Document, Original, moment
from penstock.domain.errors import BeingDeleted
from penstock.domain.ids import DocumentId
from penstock.domain.status import Status
from penstock.services import Limits
from tests.support.world import TENANT

NOW = moment(2_000)
KNOWN = Original("drop/acme/a.txt", "v5", "a.txt", 9, "etag", sha256="one", sequencer="05")
SAME = replace(KNOWN, version="v6", sequencer="06")
OTHER = replace(SAME, sha256="two", etag="other")


def record(status: Status, *, cancel: bool = False) -> Document:
    return Document(TENANT, DocumentId("a"), 1_000, status, moment(1_000), KNOWN, "wiki", cancel=cancel)


def arrival(original: Original) -> Arrival:
    return Arrival(TENANT, DocumentId("a"), original, "wiki")


def test_an_unknown_document_is_created() -> None:
    assert decide(None, arrival(OTHER)) is Decision.CREATE
    assert next_record(None, arrival(OTHER), NOW, Limits()).generation == 2_000


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("old", [replace(OTHER, version="v4", sequencer="04"), KNOWN], ids=["older", "twice"])
def test_what_is_not_newer_is_ignored_in_every_status(status: Status, old: Original) -> None:
    before = record(status)
    if status is Status.DELETED:  # a tombstone knows no version
        before = replace(before, original=replace(KNOWN, version=""))
    assert decide(before, arrival(old)) is Decision.IGNORE
    assert next_record(before, arrival(old), NOW, Limits()) is before


@pytest.mark.parametrize(
    ("status", "same", "other"),
    [
        (Status.QUEUED, Decision.KEEP, Decision.REPLACE),
        (Status.EXTRACTING, Decision.KEEP, Decision.REPLACE),
        (Status.EMBEDDING, Decision.KEEP, Decision.REPLACE),
        (Status.INDEXED, Decision.KEEP, Decision.REPLACE),
        (Status.PARTIAL, Decision.KEEP, Decision.REPLACE),
        (Status.NO_TEXT, Decision.KEEP, Decision.REPLACE),
        (Status.FAILED, Decision.RETRY, Decision.REPLACE),
        (Status.CANCELLED, Decision.RETRY, Decision.REPLACE),
        (Status.DELETING, Decision.REFUSE, Decision.REFUSE),
        (Status.DELETED, Decision.REPLACE, Decision.REPLACE),
    ],
)
def test_what_is_newer_is_decided_by_status_and_bytes(status: Status, same: Decision, other: Decision) -> None:
    assert decide(record(status), arrival(SAME)) is same
    assert decide(record(status), arrival(OTHER)) is other


def test_the_bytes_of_an_attempt_that_will_be_cancelled_are_retried() -> None:
    assert decide(record(Status.EXTRACTING, cancel=True), arrival(SAME)) is Decision.RETRY


def test_without_a_sha256_the_etags_are_compared() -> None:
    assert decide(record(Status.INDEXED), arrival(replace(SAME, sha256=None))) is Decision.KEEP
    assert decide(record(Status.INDEXED), arrival(replace(OTHER, sha256=None))) is Decision.REPLACE
    assert decide(record(Status.INDEXED), arrival(replace(OTHER, sha256=None, etag=""))) is Decision.REPLACE


def test_each_decision_makes_its_record() -> None:
    kept = next_record(record(Status.INDEXED), arrival(SAME), NOW, Limits())
    assert (kept.status, kept.generation, kept.original) == (Status.INDEXED, 1_000, SAME)
    retried = next_record(record(Status.FAILED), arrival(SAME), NOW, Limits())
    assert (retried.status, retried.generation, retried.original) == (Status.QUEUED, 1_000, SAME)
    replaced = next_record(record(Status.INDEXED), arrival(OTHER), NOW, Limits())
    assert (replaced.status, replaced.generation, replaced.original) == (Status.QUEUED, 2_000, OTHER)
    at_once = next_record(record(Status.INDEXED), arrival(OTHER), moment(1_000), Limits())
    assert at_once.generation == 1_001, "a generation number is never used twice"
    with pytest.raises(BeingDeleted):
        next_record(record(Status.DELETING), arrival(OTHER), NOW, Limits())
