"""The way of a document: claims, shards, failures, and who publishes."""

from __future__ import annotations

from datetime import timedelta

import pytest

from penstock.domain.errors import PasswordRequired, Transient
from penstock.domain.ids import BuildId
from penstock.domain.status import Status
from penstock.domain.task import Message, Stage
from penstock.pipeline.run import Done, Redeliver
from tests.support.world import TENANT, World, prose


def test_a_document_of_one_shard_is_finished_in_one_invocation(world: World) -> None:
    """No S3 hand-off and no second message."""
    received = world.upload("The weir was opened in spring.")
    writes = world.documents.writes
    assert world.drain() == [Done()]
    record = world.record(received)
    assert record.status is Status.INDEXED
    assert record.receipt is not None
    assert (record.receipt.chunks, record.receipt.vectors, record.receipt.embedded) == (1, 1, 1)
    assert record.sweep_at is None
    assert world.documents.writes - writes == 2, "claim and publish; accept was the third"
    assert [key for key in world.objects.objects if key.startswith("work/")] == []


def test_a_document_of_several_shards_is_published_once_all_are_done(world: World) -> None:
    received = world.upload(prose("a", 9))
    extracted = world.queue.take()
    assert extracted is not None
    world.run(extracted)
    record = world.record(received)
    assert record.status is Status.EMBEDDING
    shards = [message for message, _, _ in world.queue.sent]
    assert [message.shard for message in shards] == list(range(len(shards)))
    assert len(shards) >= 3
    for message in reversed(shards[1:]):
        world.run(message)
        assert world.search("Paragraph").hits == (), "a part of a document is never shown"
    world.run(shards[0])
    record = world.record(received)
    assert record.status is Status.INDEXED
    assert record.receipt is not None
    assert record.receipt.chunks == record.receipt.vectors == world.builds(record.id)[record.build_id]
    assert world.documents.read_build(TENANT, record.id, record.build_id) is None
    assert [key for key in world.objects.objects if key.startswith("work/")] == []


@pytest.mark.invariant("I4")
def test_work_files_that_cannot_be_removed_are_by_the_message_that_comes_again(world: World) -> None:
    """I4: a worker that is killed there leaves them to that message too."""
    received = world.upload(prose("a", 9))
    remove_all = world.objects.remove_all

    def fails_once(*_: object) -> int:
        world.objects.remove_all = remove_all  # type: ignore[method-assign]
        raise Transient(why="the bucket does not answer")

    world.objects.remove_all = fails_once  # type: ignore[method-assign]
    outcomes = world.drain()
    record = world.record(received)
    assert sum(isinstance(each, Redeliver) for each in outcomes) == 1
    assert (record.status, record.failure) == (Status.INDEXED, None)
    assert world.documents.read_build(TENANT, record.id, record.build_id) is None
    assert [key for key in world.objects.objects if key.startswith("work/")] == []


def test_shards_that_are_done_before_the_total_is_declared_are_published_by_extract(world: World) -> None:
    """Declaring the total is a finishing write too."""
    received = world.upload(prose("a", 9))
    message = world.queue.take()
    assert message is not None

    def embed_all_that_is_sent() -> None:
        while (shard := world.queue.take()) is not None:
            assert world.run(shard) == Done()

    world.documents.before_transaction = embed_all_that_is_sent
    assert world.run(message) == Done()
    assert world.record(received).status is Status.INDEXED
    assert not world.queue.sent


@pytest.mark.invariant("I3")
def test_every_shard_done_twice_changes_nothing(world: World) -> None:
    """I3: a redelivery overwrites itself; the finished shards are a set."""
    received = world.upload(prose("a", 9))
    while (message := world.queue.take()) is not None:
        world.run(message)
        world.run(message)
    record = world.record(received)
    assert record.status is Status.INDEXED
    assert record.receipt is not None
    assert world.builds(record.id) == {record.build_id: record.receipt.chunks}
    assert len(world.embedder.embedded) == len(set(world.embedder.embedded))


def test_a_redelivery_that_finds_the_set_complete_but_unpublished_publishes(world: World) -> None:
    received = world.upload(prose("a", 9))
    world.run(world.take())
    shards = [world.take() for _ in range(len(world.queue.sent))]
    for message in shards[:-1]:
        world.run(message)
    refresh, world.index.refresh = world.index.refresh, _down  # type: ignore[method-assign]
    world.run(shards[-1])
    world.index.refresh = refresh  # type: ignore[method-assign]
    assert world.record(received).status is Status.EMBEDDING
    world.run(shards[-1])
    assert world.record(received).status is Status.INDEXED


def test_a_redelivered_extract_whose_shards_messages_were_lost_sends_them_again(world: World) -> None:
    received = world.upload(prose("a", 9))
    extracted = world.take()
    world.run(extracted)
    world.queue.sent.clear()
    world.run(extracted)
    world.drain()
    assert world.record(received).status is Status.INDEXED


@pytest.mark.invariant("I7")
def test_a_message_finds_a_live_lease_and_comes_back_when_it_ends(world: World) -> None:
    """I7: no error, no attempt, and not dropped."""
    received = world.upload("some text")
    message = world.take()
    seen: list[object] = []
    world.run(message, meanwhile=lambda: seen.append(world.run(message)))
    (outcome,) = seen
    assert isinstance(outcome, Redeliver)
    assert outcome.delay == world.limits.lease
    assert world.record(received).status is Status.INDEXED
    assert world.record(received).lease.attempts == 0


@pytest.mark.invariant("I7")
def test_a_lease_of_a_clock_an_hour_ahead_does_not_keep_a_message_away_for_an_hour(world: World) -> None:
    """I7."""
    world.upload("some text")
    message = world.take()
    seen: list[object] = []

    def another_looks() -> None:
        world.clock.pass_time(-timedelta(hours=1))
        seen.append(world.run(message))
        world.clock.pass_time(timedelta(hours=1))

    world.run(message, meanwhile=another_looks)
    (outcome,) = seen
    assert isinstance(outcome, Redeliver)
    assert outcome.delay == world.limits.lease


@pytest.mark.invariant("I2")
def test_a_worker_that_lost_its_lease_changes_nothing(world: World) -> None:
    """I2: the write of an old epoch is refused, and the new holder's work stands."""
    received = world.upload(prose("a", 1))
    message = world.take()

    def another_takes_over() -> None:
        world.clock.pass_time(world.limits.lease)
        assert world.run(message) == Done()

    world.run(message, meanwhile=another_takes_over)
    record = world.record(received)
    assert record.status is Status.INDEXED
    assert record.visible == BuildId(record.generation, 2), "the second claim's"
    assert record.needs_cleanup, "what the first still wrote is cleared once more"
    world.clock.pass_time(world.limits.lease)
    world.sweep()
    assert set(world.builds(record.id)) == {record.visible}


@pytest.mark.invariant("I4")
def test_an_expired_lease_counts_as_an_attempt_and_waiting_does_not(world: World) -> None:
    """I4."""
    received = world.upload("some text")
    message = world.take()

    class WorkerLostError(BaseException):
        pass

    def dies() -> None:
        raise WorkerLostError

    for lost in range(world.limits.attempts):
        with pytest.raises(WorkerLostError):
            world.run(message, meanwhile=dies)
        assert isinstance(world.run(message), Redeliver)
        assert world.record(received).lease.attempts == lost
        world.clock.pass_time(world.limits.lease)
    assert world.run(message) == Done()
    record = world.record(received)
    assert record.status is Status.FAILED
    assert record.failure is not None
    assert record.failure.code == "attempts_used_up"
    ((dead_letter_counts, reason),) = world.queue.letters
    assert dead_letter_counts == message
    assert "tried 3 times" in reason


@pytest.mark.invariant("I5")
def test_a_permanent_error_fails_the_document_and_tells_why(world: World) -> None:
    """I5: no attempt is spent on it, and nothing goes to the dead-letter queue."""
    world.reader.fail = PasswordRequired()
    received = world.upload("some text")
    assert world.drain() == [Done()]
    record = world.record(received)
    assert record.status is Status.FAILED
    assert record.failure is not None
    assert record.failure.code == "password_required"
    assert "without one" in record.failure.message
    assert record.sweep_at == world.clock() + world.limits.keep_failed, "for clearing alone"
    assert not world.queue.letters


@pytest.mark.invariant("I5")
def test_a_bug_is_treated_as_transient(world: World) -> None:
    """I5. Its message is for the log, not for the user."""
    world.reader.fail = ZeroDivisionError("secret")
    received = world.upload("some text")
    outcome = world.run(world.take())
    assert isinstance(outcome, Redeliver)
    failure = world.record(received).failure
    assert failure is not None
    assert "secret" not in failure.message


def test_a_failed_replacement_leaves_the_earlier_generation_searchable(world: World) -> None:
    received = world.upload("The weir was opened in spring.", id="one")
    world.drain()
    world.reader.fail = PasswordRequired()
    world.upload("Other text altogether.", id="one")
    world.drain()
    assert world.record(received).status is Status.FAILED
    assert [hit.text for hit in world.search("weir").hits] == ["The weir was opened in spring."]


def test_an_outage_of_the_provider_hands_one_shard_on_and_does_not_read_the_file_again(world: World) -> None:
    world.embedder.fail = [Transient(why="too many requests", retry_after=7)]
    received = world.upload("some text")
    assert world.run(world.take()) == Done()
    ((message, _, delay),) = world.queue.sent
    assert (message.stage, message.shard) == (Stage.EMBED, 0)
    assert delay == timedelta(seconds=7)
    assert world.record(received).status is Status.EMBEDDING
    world.drain()
    assert world.record(received).status is Status.INDEXED
    assert len(world.reader.read_files) == 1


def test_what_was_embedded_before_a_failure_is_not_paid_for_again(world: World) -> None:
    world.embedder.batch = 1
    world.embedder.fail = [None, Transient(why="too many requests")]
    received = world.upload(prose("a", 2))
    world.drain()
    assert world.record(received).status is Status.INDEXED
    assert len(world.embedder.embedded) == len(set(world.embedder.embedded))


def test_attempts_of_a_shard_are_counted_and_used_up(world: World) -> None:
    world.embedder.fail = [Transient(why="the provider is down")] * 10
    received = world.upload("some text")
    world.drain()
    record = world.record(received)
    assert record.status is Status.FAILED
    assert record.failure is not None
    assert "the provider is down" in record.failure.message
    assert len(world.queue.letters) == 1


def test_a_refused_text_is_indexed_without_a_vector_and_named(world: World) -> None:
    world.embedder.refuse = lambda text: "Paragraph 0" in text
    received = world.upload(prose("a", 2))
    world.drain()
    record = world.record(received)
    assert record.status is Status.PARTIAL
    assert record.receipt is not None
    assert record.receipt.refused == "0"
    assert record.receipt.vectors == record.receipt.chunks - 1
    assert world.search("Paragraph").hits


def test_a_document_without_text_is_said_to_have_none(world: World) -> None:
    received = world.upload("   \n\n  ")
    world.drain()
    record = world.record(received)
    assert record.status is Status.NO_TEXT
    assert record.receipt is not None
    assert (record.receipt.chunks, record.receipt.pages_without_text) == (0, "1")


def test_a_replacement_shows_the_old_until_the_flip_and_then_only_the_new(world: World) -> None:
    received = world.upload("The weir was opened in spring.", id="one")
    world.drain()
    world.upload("The weir was closed in autumn.", id="one")
    assert [hit.text for hit in world.search("weir").hits] == ["The weir was opened in spring."]
    world.drain()
    assert [hit.text for hit in world.search("weir").hits] == ["The weir was closed in autumn."]
    record = world.record(received)
    assert set(world.builds(record.id)) == {record.visible}


@pytest.mark.invariant("I1")
def test_an_embed_message_of_another_build_is_dropped(world: World) -> None:
    """I1: the message names its build."""
    received = world.upload(prose("a", 9))
    world.run(world.take())
    record = world.record(received)
    stale = Message(Stage.EMBED, TENANT, record.id, record.generation, record.build + 1, 0)
    assert world.run(stale) == Done()
    assert not world.embedder.embedded


def test_a_message_of_an_older_generation_is_dropped(world: World) -> None:
    world.upload("old text", id="one")
    old = world.take()
    received = world.upload("new text", id="one")
    assert world.run(old) == Done()
    assert world.record(received).status is Status.QUEUED


def test_an_index_that_lost_chunks_is_filled_again_before_readers_see_it(world: World) -> None:
    """The receipt is checked against the index. Known vectors are not paid for again."""
    received = world.upload(prose("a", 9))
    world.run(world.take())
    shards = [world.take() for _ in range(len(world.queue.sent))]
    for message in shards[:-1]:
        world.run(message)
    world.lose_chunk()
    world.run(shards[-1])
    assert world.record(received).status is Status.EMBEDDING
    world.drain()
    record = world.record(received)
    assert record.status is Status.INDEXED
    assert record.receipt is not None
    assert world.builds(record.id) == {record.build_id: record.receipt.chunks}
    assert len(world.embedder.embedded) <= len(set(world.embedder.embedded)) + 1, "only the lost one"


def test_an_original_that_was_taken_out_of_the_folder_is_a_removal(world: World) -> None:
    received = world.receive(world.drop("drop/acme/wiki/b.txt", "some text", "01"))
    assert received is not None
    world.objects.remove(TENANT, "drop/acme/wiki/b.txt")
    world.drain()
    assert world.record(received).status is Status.DELETED


def _down(*_: object) -> None:
    raise Transient(why="the index is down")


def test_an_attempt_that_was_overtaken_by_a_return_to_the_old_bytes_leaves_nothing(world: World) -> None:
    """The build that is kept is older than the one that has to go."""
    received = world.upload(prose("a", 1), id="one")
    world.drain()
    world.upload(prose("b", 9), id="one")
    world.run(world.take())
    world.run(world.take())
    world.upload(prose("a", 1), id="one")
    world.drain()
    record = world.record(received)
    assert record.status is Status.INDEXED
    assert set(world.builds(record.id)) == {record.visible}


def test_a_failure_at_publish_brings_the_message_back_to_publish(world: World) -> None:
    """The shard is done, so there is no lease to release; the publish is still to be done."""
    received = world.upload(prose("a", 9))
    world.run(world.take())
    shards = [world.take() for _ in range(len(world.queue.sent))]
    for message in shards[:-1]:
        world.run(message)
    world.index.count, count = _down, world.index.count  # type: ignore[assignment, method-assign]
    outcome = world.run(shards[-1])
    world.index.count = count  # type: ignore[method-assign]
    assert isinstance(outcome, Redeliver)
    assert world.run(shards[-1]) == Done()
    assert world.record(received).status is Status.INDEXED


@pytest.mark.invariant("I4", "I6")
def test_copies_of_finished_shards_messages_neither_multiply_nor_hurry_the_others(world: World) -> None:
    """I4, I6: a shard in back-off waits, whichever message asks for it."""
    received = world.upload(prose("a", 9))
    world.run(world.take())
    shards = [world.take() for _ in range(len(world.queue.sent))]
    world.run(shards[0])
    world.embedder.fail = [Transient(why="the provider is down", retry_after=60)]
    assert isinstance(world.run(shards[1]), Redeliver)
    for _ in range(20):
        assert world.run(shards[0]) == Done()
        outcome = world.run(shards[1])
        assert isinstance(outcome, Redeliver)
        assert outcome.delay == timedelta(seconds=60)
    assert not world.queue.sent
    build = world.documents.read_build(TENANT, received.document.id, world.record(received).build_id)
    assert build is not None
    assert build.leases[1].attempts == 1


def test_a_worker_that_lost_its_shard_stops_paying(world: World) -> None:
    world.embedder.batch = 1
    world.upload(prose("a", 9))
    world.run(world.take())
    message = world.take()

    def another_takes_over() -> None:
        world.clock.pass_time(world.limits.lease)
        assert world.run(message) == Done()

    world.run(message, meanwhile=another_takes_over)
    assert len(world.embedder.embedded) <= len(set(world.embedder.embedded)) + 1, "beyond the batch in flight"


def test_a_worker_that_lost_its_shard_does_not_fail_the_document(world: World) -> None:
    received = world.upload(prose("a", 9))
    world.run(world.take())
    message = world.take()

    def another_takes_over() -> None:
        world.clock.pass_time(world.limits.lease)
        assert world.run(message) == Done()
        world.embedder.fail = [PasswordRequired()]
        world.objects.remove_all(TENANT, "work/acme/")

    world.run(message, meanwhile=another_takes_over)
    assert world.record(received).status is Status.EMBEDDING


def test_a_receipt_counts_what_failed_tries_paid_for(world: World) -> None:
    world.embedder.batch = 1
    world.embedder.fail = [None, Transient(why="too many requests")]
    received = world.upload(prose("a", 2))
    world.drain()
    receipt = world.record(received).receipt
    assert receipt is not None
    assert receipt.embedded == len(world.embedder.embedded)


def test_a_retry_after_a_failure_leaves_only_its_own_chunks(world: World) -> None:
    received = world.upload(prose("a", 9))
    world.run(world.take())
    world.run(world.take())
    world.embedder.fail = [PasswordRequired()]
    world.drain()
    assert world.record(received).status is Status.FAILED
    paid = len(world.embedder.embedded)
    world.upload(prose("a", 9))
    world.drain()
    record = world.record(received)
    assert record.receipt is not None
    assert set(world.builds(record.id)) == {record.visible}
    assert len(world.embedder.embedded) == record.receipt.chunks, f"{paid} were known"


def test_the_leftovers_of_a_failed_attempt_go_after_a_day(world: World) -> None:
    received = world.upload(prose("a", 9))
    world.run(world.take())
    world.run(world.take())
    world.embedder.fail = [PasswordRequired()]
    world.drain()
    assert world.builds(received.document.id)
    world.clock.pass_time(world.limits.keep_failed)
    world.sweep()
    assert world.builds(received.document.id) == {}
    assert world.record(received).sweep_at is None
