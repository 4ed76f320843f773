"""Search over HTTP: hits with citations."""

from __future__ import annotations

import pytest

from tests.support.api_door import is_problem


def test_a_hit_names_document_page_score_snippet_and_a_link_to_the_page(door):
    id_ = door.indexed("The pump stands in the cellar.\fThe valve is opened by turning the wheel.", source="manuals")
    answer = door.client().get("/v1/search", params={"q": "valve"}).json()
    hit = answer["hits"][0]
    assert (answer["query"], answer["incomplete"]) == ("valve", False)
    assert (hit["document_id"], hit["name"], hit["source"]) == (id_, "file.txt", "manuals")
    assert "<mark>valve</mark>" in hit["snippet"]
    assert (hit["page"], hit["pages"]) == (2, {"first": 1, "last": 2})
    generation = door.client().get(f"/v1/documents/{id_}").json()["generation"]
    base = f"http://testserver/v1/documents/{id_}/file?generation={generation}"
    assert hit["url"] == f"{base}#page=2"
    assert door.client().get(hit["url"]).status_code == 307


def test_search_is_narrowed_by_sources_and_documents(door):
    one = door.indexed("The valve of the first.", source="left")
    two = door.indexed("The valve of the second.", source="right")
    client = door.client()

    def found(**params):
        hits = client.get("/v1/search", params={"q": "valve", **params}).json()["hits"]
        return {hit["document_id"] for hit in hits}

    assert found() == {one, two}
    assert found(source="left") == {one}
    assert found(source=["left", "right"]) == {one, two}
    assert found(document=two) == {two}
    assert len(client.get("/v1/search", params={"q": "valve", "k": 1}).json()["hits"]) == 1


@pytest.mark.invariant("I10")
def test_another_tenants_text_is_never_found(door):
    """I10: the tenant is the first argument of every call that touches data."""
    id_ = door.indexed("The valve of the first.")
    params = {"q": "valve", "document": id_}
    assert door.stranger().get("/v1/search", params=params).json()["hits"] == []


@pytest.mark.parametrize("query", ["", "   ", "\n"])
def test_an_empty_question_is_400(door, query):
    is_problem(door.client().get("/v1/search", params={"q": query}), 400, "bad_request")


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({}, "query.q"),
        ({"q": "x" * 10_001}, "query.q"),
        ({"q": "x", "k": 0}, "query.k"),
        ({"q": "x", "k": 101}, "query.k"),
        ({"q": "x", "k": "many"}, "query.k"),
        ({"q": "x", "source": ["s"] * 51}, "query.source"),
        ({"q": "x", "document": ["d" * 129]}, "query.document.0"),
    ],
)
def test_parameters_that_are_not_as_they_should_be_are_named_in_a_422(door, params, field):
    problem = is_problem(door.client().get("/v1/search", params=params), 422, "invalid_request")
    assert [each["field"] for each in problem["errors"]] == [field]


@pytest.mark.parametrize("query", ["'\"; DROP TABLE x; --", "NEAR(a b)", "a AND (", "*", "\x00", "😀", "the of and"])
def test_absurd_questions_have_an_answer(door, query):
    door.indexed("The valve.")
    assert door.client().get("/v1/search", params={"q": query}).status_code == 200


def test_pages_follow_each_other_without_gap_or_repetition_and_say_when_they_end(door):
    documents = [door.indexed(f"The valve number {n} of the house.") for n in range(7)]
    client, seen, offset = door.client(), [], 0
    while offset is not None:
        page = client.get("/v1/search", params={"q": "valve", "k": 3, "offset": offset}).json()
        seen += [hit["document_id"] for hit in page["hits"]]
        offset = page["next_offset"]
    assert sorted(seen) == sorted(documents)


def test_one_hit_per_document_says_how_many_more_it_has(door):
    long = door.indexed("\f".join(f"The valve stands on page {n}. " + "Water runs. " * 20 for n in range(5)))
    short = door.indexed("A valve.")
    hits = door.client().get("/v1/search", params={"q": "valve", "one_per_document": True}).json()["hits"]
    more = {hit["document_id"]: hit["more"] for hit in hits}
    assert more.keys() == {long, short}
    assert (more[short], len(hits)) == (0, 2)
    assert more[long] > 1


def test_a_score_is_the_sum_of_its_parts_where_they_are_asked_for(door):
    door.indexed("The valve of the first.")
    (hit,) = door.client().get("/v1/search", params={"q": "valve", "explain": True}).json()["hits"]
    assert hit["score"] == pytest.approx(hit["parts"]["words"] + hit["parts"]["vectors"])
    assert hit["parts"]["words"] > 0
    (hit,) = door.client().get("/v1/search", params={"q": "valve"}).json()["hits"]
    assert hit["parts"] is None


def test_search_is_narrowed_by_dates(door):
    door.indexed("The valve.")
    arrived = "2026-01-01T00:00:00Z"

    def count(**params):
        return len(door.client().get("/v1/search", params={"q": "valve", **params}).json()["hits"])

    assert (count(since=arrived), count(before=arrived), count(before="2026-01-02T00:00:00Z")) == (1, 0, 1)


def test_search_is_narrowed_by_metadata(door):
    client = door.client()
    for team in ("pumps", "gates"):
        client.post(
            "/v1/documents",
            files={"files": (f"{team}.txt", f"The valve of {team}.".encode())},
            data={"metadata": f'{{"team": "{team}"}}'},
        )
    door.world.drain()
    hits = client.get("/v1/search", params={"q": "valve", "metadata": "team:pumps"}).json()["hits"]
    assert [hit["name"] for hit in hits] == ["pumps.txt"]


def test_a_quoted_phrase_is_there_or_nothing_is(door):
    door.indexed("The valve of the inlet.")
    exact = door.indexed("An inlet valve.")
    client = door.client()
    hits = client.get("/v1/search", params={"q": '"inlet valve"'}).json()["hits"]
    assert [hit["document_id"] for hit in hits] == [exact]
    assert client.get("/v1/search", params={"q": '"valve inlet"'}).json()["hits"] == []


@pytest.mark.parametrize(
    "params",
    [
        {"metadata": "team"},
        {"since": "2026-01-02T00:00:00Z", "before": "2026-01-01T00:00:00Z"},
    ],
)
def test_a_question_that_makes_no_sense_is_refused_with_what_to_do(door, params):
    is_problem(door.client().get("/v1/search", params={"q": "valve", **params}), 400, "bad_request")
