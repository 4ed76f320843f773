"""The wire format: what is read is a message of Penstock or poison, and what is written can be read."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.adapters.celery.wire_format import Envelope, Poison, clean_reason, decode, encode, task_name
from penstock.domain.task import Stage

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
IDS = {"tenant": "acme", "document": "report", "generation": 1}


def message(task: object = "penstock.extract", arguments: object = IDS, ident: object = "1") -> str:
    return json.dumps({"headers": {"task": task, "id": ident}, "body": json.dumps([[], arguments, {}])})


def decode_or_poison(text: str) -> Envelope | None:
    try:
        return decode(text)
    except Poison:
        return None


@given(st.text() | JSON.map(json.dumps))
def test_whatever_comes_is_an_envelope_or_poison(text: str) -> None:
    assert decode_or_poison(text) is None


@pytest.mark.invariant("I1")
@given(JSON, JSON, JSON)
def test_whatever_is_in_an_envelope_only_ids_come_out(task: object, arguments: object, ident: object) -> None:
    """I1."""
    assert decode_or_poison(message(task, arguments, ident)) is None
    found = decode_or_poison(message(ident=ident))
    assert found is None or found.arguments == IDS


def test_a_sweep_has_no_arguments() -> None:
    assert decode(message("penstock.sweep", {})).arguments == {}
    assert decode_or_poison(message("penstock.sweep", IDS)) is None


def test_nesting_without_end_is_poison() -> None:
    with pytest.raises(Poison):
        decode("[" * 200_000)


def test_nothing_of_the_wire_is_passed_on_but_ids() -> None:
    text = json.dumps(
        {
            "headers": {"task": "penstock.delete", "id": "1", "eta": "2999-01-01T00:00:00", "timelimit": [1, 1]},
            "body": json.dumps([[], IDS, {"callbacks": [{"task": "penstock.delete"}], "chain": [{}]}]),
            "properties": {"reply_to": "somewhere", "delivery_info": {"routing_key": "elsewhere"}},
        }
    )
    assert decode(text).delivery("receipt", {"routing_key": "delete"}) == {
        "body": json.dumps([[], IDS, {}]),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {"lang": "py", "id": "1", "task": "penstock.delete", "root_id": "1"},
        "properties": {
            "correlation_id": "1",
            "delivery_tag": "receipt",
            "delivery_info": {"routing_key": "delete"},
        },
    }


@pytest.mark.parametrize("stage", Stage)
def test_what_is_encoded_is_decoded(stage: Stage) -> None:
    ids = {**IDS, "build": 2, "shard": 7} if stage is Stage.EMBED else IDS
    envelope = decode(encode(task_name(stage), ids, "queue"))
    assert (envelope.task, envelope.arguments) == (task_name(stage), ids)


@pytest.mark.parametrize(
    ("reason", "cleaned"),
    [
        ("tried 8 times; «429»\nwait", "tried 8 times; «429»\nwait"),
        ("\x00\x1b[31m\ud800", "\ufffd\ufffd[31m\ufffd"),
        ("", "no reason was given"),
        ("x" * 3000, "x" * 1000),
    ],
)
def test_a_reason_is_one_that_sqs_accepts(reason: str, cleaned: str) -> None:
    assert clean_reason(reason) == cleaned
