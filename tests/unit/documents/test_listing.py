"""Listing: a tenant's documents, newest first, page by page."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from penstock.documents.listing import list_documents
from penstock.domain.ids import TenantId
from penstock.domain.status import Status
from tests.support.world import TENANT, World


def add(world: World, *names: str) -> None:
    for name in names:
        world.clock.pass_time(timedelta(seconds=1))
        world.upload(f"The text of {name}.", id=name)


def ids(listing) -> list[str]:
    return [document.id for document in listing.documents]


def test_documents_are_listed_newest_first_from_the_moment_of_acceptance(world):
    add(world, "a", "b", "c")
    assert ids(list_documents(world.services, TENANT, limit=10)) == ["c", "b", "a"]


def test_pages_follow_one_another_without_gap_or_repetition(world):
    add(world, *(f"d{number:03}" for number in range(25)))
    seen, before = [], None
    while True:
        page = list_documents(world.services, TENANT, limit=7, before=before)
        seen += ids(page)
        before = page.next
        if before is None:
            break
    assert seen == [f"d{number:03}" for number in reversed(range(25))]


def test_the_last_full_page_names_no_next_one(world):
    add(world, "a", "b")
    assert list_documents(world.services, TENANT, limit=2).next is None


def test_documents_accepted_at_the_same_moment_are_each_listed_once(world):
    for name in "abcde":
        world.upload(f"The text of {name}.", id=name)
    first = list_documents(world.services, TENANT, limit=3)
    second = list_documents(world.services, TENANT, limit=3, before=first.next)
    assert ids(first) + ids(second) == ["e", "d", "c", "b", "a"]


def test_filters_by_status_and_source_let_only_those_through(world):
    add(world, "a", "b", "c")
    world.drain()
    add(world, "d")
    assert ids(list_documents(world.services, TENANT, limit=10, statuses=[Status.QUEUED])) == ["d"]
    assert ids(list_documents(world.services, TENANT, limit=10, sources=["elsewhere"])) == []
    assert len(ids(list_documents(world.services, TENANT, limit=10, sources=["api"]))) == 4


@pytest.mark.invariant("I12")
def test_a_filter_that_fits_nothing_reads_a_bounded_number_of_records_per_page(world):
    """I12: work per request is bounded by a constant."""
    reads: list[int] = []

    class Counting:
        def __init__(self, inner):
            self.inner = inner

        def newest(self, *asked):
            return self.inner.newest(*asked)

        def read_many(self, tenant, documents):
            reads.append(len(documents))
            return self.inner.read_many(tenant, documents)

    for number in range(1_150):
        world.upload(f"Text {number}.", id=f"d{number}")
    services = replace(world.services, documents=Counting(world.documents))
    page = list_documents(services, TENANT, limit=5, sources=["nowhere"])
    assert ids(page) == []
    assert page.next is not None
    assert sum(reads) == 1_000
    assert list_documents(services, TENANT, limit=5, sources=["nowhere"], before=page.next).next is None


@pytest.mark.invariant("I10")
def test_deleted_documents_and_those_of_other_tenants_are_not_listed(world):
    """I10: the tenant is the first part of every key."""
    add(world, "a", "b")
    world.upload("Of another.", id="z", tenant=TenantId("other"))
    world.drain()
    gone = world.upload("The text of a.", id="a")
    world.delete(gone)
    world.drain()
    assert ids(list_documents(world.services, TENANT, limit=10)) == ["b"]
