"""The HTTP client of the worker: what it leaves in the hub's timer."""

from __future__ import annotations

from kombu.asynchronous.hub import Hub

from penstock.worker.http_client import HttpClient


def test_long_waits_of_curl_leave_nothing_in_the_timer() -> None:
    hub = Hub()
    client = HttpClient(hub)
    before = len(hub.timer.queue)
    client._set_timeout(20_000)
    assert len(hub.timer.queue) == before
    client._set_timeout(200)
    assert len(hub.timer.queue) == before + 1
    client.close()
