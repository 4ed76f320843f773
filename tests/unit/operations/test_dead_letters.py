"""Dead letters: each is filed with its reason, none is lost, and a copy is kept of each that is redriven or dropped."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

from penstock.cli import dead_letters
from penstock.cli.main import app
from penstock.documents.receive import Received
from penstock.domain.document import milliseconds
from penstock.domain.errors import CannotRedrive, NotFound, PasswordRequired, Transient
from penstock.domain.status import Status
from penstock.domain.task import Message
from penstock.lambdas.dead_letters import make_handler
from penstock.operations.dead_letters import drop, find_letter, letters, redrive
from tests.support.lambda_events import Invocation, sample
from tests.support.world import World, prose


def dead_letter(world: World, message: Message | str, reason: str = "tried 10 times", queue: str = "extract") -> str:
    """Have the dead-letter handler process this message, and return the id of its letter."""
    if isinstance(message, Message):
        queue = message.stage.value
        body = json.dumps(
            {
                "headers": {"task": f"penstock.{message.stage}", "id": "one"},
                "body": json.dumps([[], message.arguments(), {}]),
            }
        )
    else:
        body = message
    sent, number = milliseconds(world.clock()), len(list(world.objects.objects))
    record = {
        "messageId": f"m{number}",
        "receiptHandle": "r",
        "body": body,
        "attributes": {"SentTimestamp": str(sent)},
        "messageAttributes": {"reason": {"stringValue": reason}},
        "eventSourceARN": f"arn:aws:sqs:eu-west-1:111122223333:my-stack-{queue}-dead",
    }
    event = {"Records": [record]}
    handler = make_handler(world.services)
    assert handler(event, Invocation()) == handler(event, Invocation()) == {"batchItemFailures": []}
    return f"{sent}-m{number}"


def given_up(world: World, **named: Any) -> tuple[Received, str]:
    received = world.upload(prose("a", 1), **named)
    return received, dead_letter(world, world.take())


def test_a_letter_is_filed_once_with_its_reason_and_what_became_of_it(world: World) -> None:
    """Also if its queue delivers it twice."""
    received, id_ = given_up(world)
    (letter,) = letters(world.services)
    assert (letter.id, letter.queue, letter.reason, letter.fate) == (id_, "extract", "tried 10 times", "failed")
    assert letter.message["document"] == received.document.id
    assert find_letter(world.services, id_) == letter


@pytest.mark.parametrize(
    ("body", "queue"), [("this is no task", "extract"), ("{}", "embed"), ("no event", "arrivals"), ("[1]", "arrivals")]
)
def test_what_nobody_can_read_is_filed_as_it_came(world: World, body: str, queue: str) -> None:
    dead_letter(world, body, queue=queue)
    (letter,) = letters(world.services)
    assert (letter.fate, letter.body, letter.queue) == ("poison", body, queue)
    with pytest.raises(CannotRedrive):
        redrive(world.services, letter)


def test_old_news_is_kept_but_wants_nobodys_attention(world: World) -> None:
    world.upload(prose("a", 1))
    message = world.take()
    world.run(message)
    dead_letter(world, message)
    assert list(letters(world.services)) == []
    assert [letter.fate for letter in letters(world.services, kept=True)] == ["stale"]


def test_a_letter_that_cannot_be_filed_stays_in_its_queue(world: World) -> None:
    event = sample("dead-letters")
    event["Records"] = event["Records"][1:2]

    def broken(*_: object, **__: object) -> None:
        raise Transient(why="the bucket is down")

    world.objects.put = broken  # type: ignore[method-assign, assignment]
    answer = make_handler(world.services)(event, Invocation())
    assert [each["itemIdentifier"] for each in answer["batchItemFailures"]] == [event["Records"][0]["messageId"]]


def test_letters_are_chosen_by_queue_reason_and_tenant(world: World) -> None:
    given_up(world, id="one")
    received = world.upload(prose("b", 9), id="two")
    world.run(world.take())
    dead_letter(world, world.take(), reason="The Provider said 500")
    assert received.document.id
    assert len(list(letters(world.services))) == 2
    assert [each.message["document"] for each in letters(world.services, queue="embed")] == ["two"]
    assert [each.message["document"] for each in letters(world.services, reason="provider SAID")] == ["two"]
    assert [each.message["document"] for each in letters(world.services, reason="tried")] == ["one"]
    assert len(list(letters(world.services, tenant="acme"))) == 2
    assert list(letters(world.services, tenant="other")) == []


def test_redriving_the_letter_of_a_failed_document_retries_it_and_keeps_a_copy(world: World) -> None:
    received, id_ = given_up(world)
    world.clock.pass_time(timedelta(minutes=5))
    redrive(world.services, find_letter(world.services, id_))
    assert world.record(received).status is Status.QUEUED
    world.drain()
    assert world.record(received).status is Status.INDEXED
    assert list(letters(world.services)) == []
    assert [letter.fate for letter in letters(world.services, kept=True)] == ["redriven"]


def test_redriving_a_letter_whose_work_is_still_owed_sends_its_message_again(world: World) -> None:
    received = world.upload(prose("a", 1))
    message = world.take()
    id_ = dead_letter(world, message)
    world.clock.pass_time(timedelta(minutes=5))
    world.retry(received)
    world.queue.sent.clear()
    redrive(world.services, find_letter(world.services, id_))
    assert [sent for sent, _, _ in world.queue.sent] == [message]
    assert list(letters(world.services)) == []


@pytest.mark.parametrize("fails", ["send", "put", "remove"])
def test_a_redrive_that_is_cut_short_loses_nothing(world: World, fails: str) -> None:
    received, id_ = given_up(world)
    letter = find_letter(world.services, id_)
    port = world.queue if fails == "send" else world.objects
    whole = getattr(port, fails)

    def broken(*_: object, **__: object) -> None:
        raise Transient(why="made to fail")

    setattr(port, fails, broken)
    try:
        redrive(world.services, letter)
    except Transient:
        assert [each.id for each in letters(world.services)] == [id_]
    setattr(port, fails, whole)
    world.clock.pass_time(world.limits.resend_after)
    world.sweep()
    world.drain()
    assert world.record(received).status is Status.INDEXED


def test_a_copy_is_kept_of_what_is_dropped(world: World) -> None:
    _, id_ = given_up(world)
    letter = find_letter(world.services, id_)
    drop(world.services, letter)
    assert list(letters(world.services)) == []
    (kept,) = letters(world.services, kept=True)
    assert (kept.id, kept.fate, kept.body) == (id_, "dropped", letter.body)


@pytest.mark.parametrize(
    "bring",
    [
        lambda world, received: world.delete(received),
        lambda world, received: [world.retry(received), world.drain()],
    ],
)
def test_what_has_nothing_left_to_do_is_not_sent_again(
    world: World, bring: Callable[[World, Received], object]
) -> None:
    received, id_ = given_up(world)
    world.clock.pass_time(timedelta(minutes=5))
    bring(world, received)
    world.drain()
    with pytest.raises(CannotRedrive):
        redrive(world.services, find_letter(world.services, id_))
    assert not world.queue.sent


def test_a_letter_that_is_not_there_is_not_found(world: World) -> None:
    with pytest.raises(NotFound):
        find_letter(world.services, "nothing")


# The commands


@pytest.fixture
def shell(world: World, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.setattr(dead_letters, "operator_services", lambda: world.services)

    def run(*arguments: str, code: int = 0) -> Any:
        result = CliRunner().invoke(app, ["dead-letters", *arguments])
        assert result.exit_code == code, result.output
        return (
            json.loads(result.stdout)
            if not code and ("--json" in arguments or arguments[0] == "show")
            else result.output
        )

    return run


def test_nothing_is_done_without_yes(world: World, shell: Callable[..., Any]) -> None:
    received, id_ = given_up(world)
    before = dict(world.objects.objects)
    for command in ("redrive", "drop"):
        assert "Nothing was done" in shell(command, "--all")
        (told,) = shell(command, id_, "--json")["letters"]
        assert (told["letter"], told["done"]) == (id_, False)
    assert (world.objects.objects, world.record(received).status) == (before, Status.FAILED)
    assert not world.queue.sent


def test_the_commands_list_show_send_again_and_drop(world: World, shell: Callable[..., Any]) -> None:
    first, one = given_up(world, id="one")
    _, two = given_up(world, id="two")
    assert [each["id"] for each in shell("list", "--json")["letters"]] == sorted([one, two])
    assert "tried 10 times" in shell("list")
    assert shell("show", one)["message"]["document"] == "one"
    assert shell("redrive", one, "--yes", "--json")["letters"] == [
        {"letter": one, "done": True, "what": "retry document one, which failed"}
    ]
    assert world.record(first).status is Status.QUEUED
    assert "done: drop it" in shell("drop", "--reason", "tried", "--yes")
    assert shell("list", "--json")["letters"] == []
    assert {each["fate"] for each in shell("list", "--kept", "--json")["letters"]} == {"redriven", "dropped"}
    assert "would retry document two" in shell("redrive", two), "from the copy that was kept"


def test_letters_have_to_be_chosen(shell: Callable[..., Any]) -> None:
    shell("drop", "--yes", code=2)
    shell("show", "nothing", code=1)


def test_a_list_says_what_waits_to_be_settled(world: World, shell: Callable[..., Any]) -> None:
    world.upload("some text")
    world.reader.fail = PasswordRequired()
    world.queue.dead_letter(world.take(), "tried too often")
    assert shell("list", "--json") == {"letters": [], "not_settled_yet": {"extract": 1}}
