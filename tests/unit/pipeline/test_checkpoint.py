"""Checkpoints: an extract whose time runs out is continued by the next run, and the result is the same as that of one
run."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.documents.receive import Received
from penstock.domain.chunk import Entry, Page
from penstock.domain.receipt import Receipt
from penstock.domain.status import Status
from penstock.domain.task import Lane, Message
from penstock.pipeline.run import Done, Outcome, Redeliver, run
from penstock.pipeline.split import cuts
from penstock.ports import Reader
from penstock.reading.limits import ReadLimits
from penstock.reading.sandbox.reader import ChildReader
from penstock.records.document_lease import take_extract
from penstock.services import Limits, StopRequest
from tests.support.fakes.queue import FakeTaskQueue
from tests.support.fakes.reader import FakeReader
from tests.support.pdf_files import pdf
from tests.support.world import TENANT, FakeClock, World, prose

AT_ONCE = Redeliver(timedelta(0), "The time of this run is over. The next run continues where this one stopped.")

short = ["a", "é", " ", ". ", "\n", "\n\n", "! ", "。", "\r\n", "\u0301", "word ", "A sentence stands here. "]
pieces = st.sampled_from([*short, " " * 70, "\n" + " " * 70 + "\n", "x" * 90])
page_lists = st.lists(st.lists(pieces, max_size=25).map("".join), min_size=1, max_size=6).map(
    lambda texts: [Page(number, text) for number, text in enumerate(texts, 1)]
)


@settings(deadline=None)
@given(page_lists, st.integers(1, 300), st.integers(0, 80), st.integers(1, 400))
def test_cutting_goes_on_from_any_cut_as_if_it_had_never_stopped(
    pages: list[Page], core: int, overlap: int, window: int
) -> None:
    """Cuts depend on nearby text only, so the splitter starts some pages before the cut."""
    whole = list(cuts(pages, largest=core + overlap, overlap=overlap, fits=lambda text: len(text) <= window))
    for number, (_, cut) in enumerate(whole, 1):
        rest = cuts(
            pages[cut.page - 1 :],
            largest=core + overlap,
            overlap=overlap,
            fits=lambda text: len(text) <= window,
            after=cut,
        )
        assert list(rest) == whole[number:]


MINUTE = timedelta(minutes=1)
LIMIT = StopRequest("the test may", "Let it")


class SlowQueue(FakeTaskQueue):
    """A queue in which sending a message takes a minute."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self._clock = clock

    def send(self, message: Message, lane: Lane, *, delay: timedelta = timedelta(0)) -> None:
        super().send(message, lane, delay=delay)
        self._clock.pass_time(MINUTE)


def world(reader: Reader | None = None) -> World:
    clock = FakeClock()
    return World(
        clock=clock,
        queue=SlowQueue(clock),
        reader=reader or FakeReader(paged=True, seeks=True),  # type: ignore[arg-type]
        limits=Limits(chunk_chars=400, overlap_chars=40, shard_chunks=2, attempts=3, lease=timedelta(hours=1)),
    )


def run_for(world: World, message: Message, shards: int) -> Outcome:
    """Run one message. An extract has time for this number of shards."""
    end = world.clock() + shards * MINUTE
    services = replace(world.services, stop_request=lambda: LIMIT if world.clock() >= end else None)
    return run(services, message, lambda services, claim: nullcontext())


def finish(world: World, received: Received, *shards: int) -> int:
    """Extract within these times, then without a limit, and run everything that follows. Returns the number of
    checkpoints."""
    (extract,), handed_on = [world.take()], 0
    for time in shards:
        outcome = run_for(world, extract, time)
        if outcome == Done():
            break
        assert outcome == AT_ONCE
        handed_on += 1
    else:
        assert world.run(extract) == Done()
    world.drain()
    assert world.record(received).status in {Status.INDEXED, Status.PARTIAL}
    return handed_on


def result(world: World, received: Received) -> tuple[list[Entry], Receipt]:
    """All entries of the document in the index, and its receipt without times."""
    receipt = world.record(received).receipt
    assert receipt is not None
    entries = sorted(world.index.entries(TENANT), key=lambda entry: entry.chunk.ordinal)
    return [replace(entry, vector=None) for entry in entries], replace(receipt, seconds=0)


def paged_prose(seed: str, paragraphs: int, breaks: Sequence[int]) -> str:
    """Pages that end in the middle of paragraphs; some have no text."""
    text = prose(seed, paragraphs)
    for place in sorted({place % len(text) for place in breaks}, reverse=True):
        text = text[:place] + "\f" * (1 + place % 2) + text[place:]
    return text


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 10_000), max_size=12), st.lists(st.integers(1, 3), max_size=8))
def test_a_document_that_was_handed_on_is_the_same_in_every_byte(breaks: list[int], shards: list[int]) -> None:
    """Chunks, ids, build and receipt are the same: pages are counted once, and the build stays."""
    text = paged_prose("a", 14, breaks)
    whole, parts = world(), world()
    before, after = whole.upload(text), parts.upload(text)
    assert finish(whole, before) == 0
    finish(parts, after, *shards)
    assert result(parts, after) == result(whole, before)
    assert parts.record(after).lease.attempts == 0


@pytest.mark.parametrize("stop", range(1, 7))
def test_it_can_be_handed_on_at_every_shard(stop: int) -> None:
    text = paged_prose("a", 14, range(100, 3000, 450))
    whole, parts = world(), world()
    before, after = whole.upload(text), parts.upload(text)
    finish(whole, before)
    assert finish(parts, after, stop) == 1
    assert result(parts, after) == result(whole, before)


def test_a_pdf_is_read_on_from_the_page_that_is_needed(tmp_path: Path) -> None:
    sentences = [f"Page {page} tells of {hashlib.sha256(bytes([page])).hexdigest()}. " * 6 for page in range(1, 30)]
    content = pdf(["" if page % 7 == 0 else text for page, text in enumerate(sentences, 1)])
    path = tmp_path / "a.pdf"
    path.write_bytes(content)
    reader = ChildReader(ReadLimits(seconds=60))
    with reader.read(path, name="a.pdf", declared=None) as reading:
        pages = list(reading)
        assert reading.seeks
    with reader.read(path, name="a.pdf", declared=None, first_page=11) as reading:
        assert list(reading) == pages[10:]
        assert (reading.pages, reading.engine) == (len(pages), "pypdfium2")


def test_no_attempt_is_counted_and_the_epoch_grows_while_the_build_stays() -> None:
    made = world()
    received = made.upload(prose("a", 14))
    extract = made.take()
    for times in (1, 2, 3):
        assert run_for(made, extract, 1) == AT_ONCE
        record = made.record(received)
        assert (record.status, record.build, record.lease.epoch) == (Status.EXTRACTING, 1, times)
        assert (record.lease.until, record.lease.attempts, record.failure) == (None, 0, None)


def test_shards_are_embedded_while_extract_waits_to_go_on() -> None:
    made = world()
    received = made.upload(prose("a", 14))
    extract = made.take()
    run_for(made, extract, 2)
    assert made.drain() == [Done(), Done()]
    build = made.documents.read_build(TENANT, received.document.id, made.record(received).build_id)
    assert build is not None
    assert (build.done, build.total) == (frozenset({0, 1}), None)


@pytest.mark.invariant("I2")
def test_a_worker_that_is_lost_after_a_checkpoint_starts_a_build_of_its_own() -> None:
    """I2: the lost worker may write on, but must not write what readers see."""
    made = world()
    received = made.upload(prose("a", 14))
    extract = made.take()
    run_for(made, extract, 2)
    lost = take_extract(made.services, extract)
    assert (lost.document.build, lost.epoch) == (1, 2)
    made.clock.pass_time(timedelta(hours=2))
    assert made.run(extract) == Done()
    assert made.record(received).build == 3
    made.drain()
    assert made.record(received).status is Status.INDEXED


def test_a_newer_generation_of_what_was_handed_on_begins_anew() -> None:
    made = world()
    made.upload(prose("a", 14), id="report")
    run_for(made, made.take(), 1)
    made.queue.sent.clear()
    newer = made.upload(prose("b", 14), id="report")
    finish(made, newer)
    record = made.record(newer)
    assert record.active is not None
    assert record.active.build_id == record.build_id
    assert made.builds(record.id) == {record.build_id: record.active.receipt.chunks}


def test_a_format_that_cannot_seek_fails_and_names_the_way_out() -> None:
    made = world(FakeReader(paged=False, kind="text"))
    received = made.upload(prose("a", 14))
    assert run_for(made, made.take(), 1) == Done()
    record = made.record(received)
    assert record.status is Status.FAILED
    assert record.failure is not None
    assert record.failure.code == "out_of_time"
    assert "longer than the test may" in record.failure.message
    assert "Let it, or split the file." in record.failure.message


def test_a_document_that_ends_with_the_time_is_complete() -> None:
    made = world()
    received = made.upload(prose("a", 14))
    shards = 0
    extract = made.take()
    while run_for(made, extract, 1) == AT_ONCE:
        shards += 1
    made.drain()
    assert made.record(received).status is Status.INDEXED
    assert shards > 3
