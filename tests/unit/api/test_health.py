"""The health checks over HTTP, and the documentation page."""

from __future__ import annotations

import re
import threading

import anyio

from penstock.api.dependencies import LazyServices
from penstock.api.routers.health import check_all
from penstock.domain.errors import EmbedderChanged, Misconfigured, Transient
from tests.support.api_door import Door, is_problem
from tests.support.world import TENANT


class Failing:
    def __init__(self, error: Exception) -> None:
        self.error = error

    def check(self) -> None:
        raise self.error


def keyless(door: Door):
    client = door.client()
    client.headers.pop("Authorization")
    return client


def test_healthz_answers_without_a_key_and_without_any_dependency():
    door = Door().broken(documents=Failing(Transient(why="it is down")))
    assert keyless(door).get("/healthz").json() == {"status": "ok"}


def test_readyz_names_each_dependency(door):
    ready = keyless(door).get("/readyz").json()
    assert ready["status"] == "ready"
    assert set(ready["dependencies"]) == {"objects", "documents", "queue", "index", "embedder"}
    assert all(each["ok"] for each in ready["dependencies"].values())


def test_readyz_is_503_and_says_what_is_wrong_with_which(door):
    door.broken(
        queue=Failing(Transient(why="the queue is down")),
        index=Failing(EmbedderChanged(stored="a", configured="b")),
    )
    response = keyless(door).get("/readyz")
    problem = is_problem(response, 503, "not_ready")
    assert "retry-after" in response.headers
    assert "queue, index" in problem["detail"]
    wrong = {name: each["code"] for name, each in problem["dependencies"].items() if not each["ok"]}
    assert wrong == {"queue": "temporarily_unavailable", "index": "embedder_changed"}


def test_readyz_says_so_where_the_services_cannot_even_be_made(door):
    def factory():
        raise Misconfigured(why="Set PENSTOCK_TABLE.")

    door.app.state.services = LazyServices(factory)
    problem = is_problem(keyless(door).get("/readyz"), 503, "not_ready")
    assert problem["dependencies"]["documents"]["code"] == "misconfigured"


def test_a_dependency_that_hangs_is_not_waited_for(door):
    over = threading.Event()

    class Hanging:
        def check(self):
            over.wait(30)

    services = door.broken(objects=Hanging()).services
    try:
        found = anyio.run(check_all, lambda: services, 0.05)
    finally:
        over.set()
    assert [name for name, each in found.items() if not each.ok] == ["objects"]


def test_a_ping_goes_by_the_lane_that_was_asked_for_and_its_time_is_told(door):
    class Answering:
        def ping(self, tenant, ping, lane):
            sent.append((tenant, lane))
            door.services.pings.answer(tenant, ping)

    sent: list[tuple[str, str]] = []
    door.services = door.broken(queue=Answering()).services
    response = door.client().post("/v1/health/task", params={"lane": "bulk"})
    assert response.status_code == 200
    assert response.json()["lane"] == "bulk"
    assert response.json()["milliseconds"] >= 0
    assert sent == [(TENANT, "bulk")]


def test_a_ping_that_nobody_answers_is_504_after_a_bounded_wait(door):
    response = door.client().post("/v1/health/task", params={"seconds": 0.05})
    problem = is_problem(response, 504, "no_worker_answered")
    assert "standard" in problem["detail"]


def test_the_documentation_page_needs_no_other_host(door):
    """The page works without access to the internet, as in a VPC."""
    client = door.client()
    page = client.get("/docs").text
    linked = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(linked) >= 3
    for each in linked:
        assert each.startswith("/docs/assets/")
        assert client.get(each).status_code == 200
