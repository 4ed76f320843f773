"""Reading a task message: it is one of ours, or it is poison; nothing else can come of it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.adapters.celery.wire_format import Envelope, Poison, read

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
IDS = {"tenant": "acme", "document": "report", "generation": 1}


def message(task: object = "penstock.extract", arguments: object = IDS, ident: object = "1") -> str:
    return json.dumps({"headers": {"task": task, "id": ident}, "body": json.dumps([[], arguments, {}])})


def read_or_poison(text: str) -> Envelope | None:
    try:
        return read(text)
    except Poison:
        return None


@given(st.text() | JSON.map(json.dumps))
def test_whatever_comes_is_an_envelope_or_poison(text: str) -> None:
    assert read_or_poison(text) is None


@pytest.mark.invariant("I1")
@given(JSON, JSON, JSON)
def test_whatever_is_in_an_envelope_only_ids_come_out(task: object, arguments: object, ident: object) -> None:
    """I1."""
    assert read_or_poison(message(task, arguments, ident)) is None
    found = read_or_poison(message(ident=ident))
    assert found is None or found.arguments == IDS


def test_a_sweep_has_no_arguments() -> None:
    assert read(message("penstock.sweep", {})).arguments == {}
    assert read_or_poison(message("penstock.sweep", IDS)) is None


def test_nesting_without_end_is_poison() -> None:
    with pytest.raises(Poison):
        read("[" * 200_000)


def test_nothing_of_the_wire_is_passed_on_but_ids() -> None:
    text = json.dumps(
        {
            "headers": {"task": "penstock.delete", "id": "1", "eta": "2999-01-01T00:00:00", "timelimit": [1, 1]},
            "body": json.dumps([[], IDS, {"callbacks": [{"task": "penstock.delete"}], "chain": [{}]}]),
            "properties": {"reply_to": "somewhere", "delivery_info": {"routing_key": "elsewhere"}},
        }
    )
    assert read(text).delivery("receipt", {"routing_key": "delete"}) == {
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
