"""Links in answers begin with an address that clients can reach."""

from __future__ import annotations

import pytest

from penstock.domain.errors import BadSetting
from tests.support.api_door import Door, settings

HERE = "https://papers.example.com/penstock"


@pytest.fixture
def behind_a_proxy() -> Door:
    return Door(settings=settings(public_url=HERE))


def test_links_begin_with_the_address_that_a_request_was_sent_to() -> None:
    (added,) = Door().add(("a.txt", b"Some text.")).json()["documents"]
    assert added["status_url"].startswith("http://testserver/v1/tasks/")


def test_behind_a_proxy_links_begin_with_the_public_url(behind_a_proxy: Door) -> None:
    behind_a_proxy.indexed("Some text.")
    (hit,) = behind_a_proxy.client().get("/v1/search", params={"q": "text"}).json()["hits"]
    assert hit["url"].startswith(f"{HERE}/v1/documents/")


@pytest.mark.parametrize("kept", ["", "/penstock"])
def test_a_proxy_may_keep_the_path_or_take_it_away(behind_a_proxy: Door, kept: str) -> None:
    answer = behind_a_proxy.client().get(f"{kept}/v1/documents")
    assert answer.status_code == 200


def test_the_documentation_asks_for_its_description_under_the_public_path(behind_a_proxy: Door) -> None:
    page = behind_a_proxy.client().get("/docs").text
    assert "'/penstock/openapi.json'" in page


@pytest.mark.parametrize("wrong", ["papers.example.com", "ftp://papers.example.com", "https://a.example?b"])
def test_what_is_no_public_url_is_said_with_the_settings_name(wrong: str) -> None:
    with pytest.raises(BadSetting, match="PENSTOCK_PUBLIC_URL"):
        settings(public_url=wrong)
