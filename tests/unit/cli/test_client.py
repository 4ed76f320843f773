"""The client of the API when the API answers with an error, late, or not at all."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from penstock.cli.client import Api, ApiProblem, connected
from penstock.cli.exits import CommandError, Exit
from penstock.cli.local_run import Address

LIST = {"documents": [], "next": None}


class Script:
    """A server that gives these answers one after the other, and repeats the last one."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


def api(script: Script, waits: list[float]) -> Api:
    return Api(httpx.Client(transport=httpx.MockTransport(script), base_url="http://penstock.test"), waits.append)


def busy(after: str) -> httpx.Response:
    return httpx.Response(503, headers={"Retry-After": after}, json={"detail": "busy", "code": "x"})


def test_a_503_is_asked_again_after_the_time_it_names():
    script, waits = Script(busy("3"), busy("9999"), httpx.Response(200, json=LIST)), []
    assert list(api(script, waits).documents(limit=5)) == []
    assert waits == [3, 30]


def test_a_503_that_stays_is_given_up_after_six_tries():
    script, waits = Script(busy("1")), []
    with pytest.raises(ApiProblem, match="busy"):
        list(api(script, waits).documents(limit=5))
    assert len(script.requests) == 6


def test_an_upload_that_is_sent_again_is_whole(tmp_path: Path):
    file = tmp_path / "a.txt"
    file.write_bytes(b"x" * 200_000)
    added = {"documents": [{"name": "a.txt"}]}
    script = Script(busy("1"), httpx.Response(202, json=added))
    sent: list[int] = []
    assert api(script, []).add(file, {"source": "api"}, sent.append) == {"name": "a.txt"}
    first, second = (len(request.content) for request in script.requests)
    assert first == second > 200_000
    assert sum(sent) == 400_000
    assert max(sent) <= 65_536


def test_an_api_that_never_answered_is_not_waited_for():
    waits: list[float] = []
    with pytest.raises(CommandError) as stopped:
        list(api(Script(httpx.ConnectError("refused")), waits).documents(limit=5))
    assert stopped.value.code is Exit.UNREACHABLE
    assert waits == []


def test_an_api_that_answered_before_may_be_starting_again():
    script = Script(httpx.Response(200, json=LIST), httpx.ConnectError("refused"), httpx.Response(200, json=LIST))
    waits: list[float] = []
    client = api(script, waits)
    list(client.documents(limit=5))
    list(client.documents(limit=5))
    assert len(waits) == 1


@pytest.mark.parametrize("body", [b"<html>hello</html>", b"[]", b""])
def test_an_answer_that_is_not_penstocks_says_to_check_the_address(body):
    with pytest.raises(CommandError, match="PENSTOCK_URL") as stopped:
        list(api(Script(httpx.Response(502, content=body)), []).documents(limit=5))
    assert stopped.value.code is Exit.UNREACHABLE


def test_the_list_is_read_page_by_page_up_to_the_limit():
    pages = [
        httpx.Response(200, json={"documents": [{"n": 1}, {"n": 2}], "next": "c1"}),
        httpx.Response(200, json={"documents": [], "next": "c2"}),
        httpx.Response(200, json={"documents": [{"n": 3}], "next": "c3"}),
    ]
    script = Script(*pages)
    assert [each["n"] for each in api(script, []).documents(limit=3, status=["failed"])] == [1, 2, 3]
    assert [request.url.params.get("cursor") for request in script.requests] == [None, "c1", "c2"]
    assert script.requests[0].url.params["status"] == "failed"


def test_ids_cannot_leave_their_place_in_the_path():
    script = Script(httpx.Response(200, json={}))
    api(script, []).document("../../v1/search?q=x")
    assert script.requests[0].url.raw_path == b"/v1/documents/..%2F..%2Fv1%2Fsearch%3Fq%3Dx"


@pytest.mark.parametrize("url", ["localhost:8080", "ftp://x", "http://", ""])
def test_an_address_that_is_none_is_wrong_usage(url):
    with pytest.raises(CommandError) as stopped, connected(Address(url, "key")):
        pass
    assert stopped.value.code is Exit.USAGE
