"""Estimates: what files would become, the requests that they would take, and their cost by the dated prices."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from penstock.cli.main import app
from penstock.domain.errors import PasswordRequired
from penstock.operations.cost import Way, indirect_requests, listed_prices, requests_of
from penstock.operations.estimate import estimate
from penstock.reading.sandbox.reader import ChildReader
from penstock.services import Limits
from tests.support.fakes.reader import FakeReader
from tests.support.pdf_files import long_pdf, pdf
from tests.support.world import World, prose


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("PENSTOCK_", "OPENAI_"))]:
        monkeypatch.delenv(name)


def always(text: str) -> bool:
    return True


def test_it_counts_the_chunks_that_a_worker_then_makes(tmp_path: Path) -> None:
    text, world = prose("a file", 9), World()
    path = tmp_path / "file.txt"
    path.write_text(text)
    guess = estimate(FakeReader(paged=True), path, world.limits, world.embedder.fits)
    received = world.upload(text)
    world.drain()
    receipt = world.record(received).receipt
    assert receipt is not None
    assert (guess.pages, guess.chunks) == (receipt.pages, receipt.chunks)
    assert guess.shards == -(-receipt.chunks // world.limits.shard_chunks)


def test_a_pdf_is_read_in_a_child_as_a_worker_does(tmp_path: Path) -> None:
    path = tmp_path / "long.pdf"
    path.write_bytes(long_pdf(30))
    guess = estimate(ChildReader(), path, Limits(), always)
    assert (guess.kind, guess.pages, guess.shards, guess.problem) == ("pdf", 30, 1, None)
    assert 30 * 900 / 4 <= guess.tokens <= 30 * 1_100 / 4 * 1.2, "about a thousand characters a page, and the overlap"


def test_a_file_that_would_fail_says_why(tmp_path: Path) -> None:
    path = tmp_path / "locked.pdf"
    path.write_bytes(pdf(["secret"], password="x"))
    guess = estimate(ChildReader(), path, Limits(), always)
    assert isinstance(guess.problem, PasswordRequired)


def test_a_document_of_one_shard_takes_ten_requests_by_https_and_fewer_by_the_drop_folder() -> None:
    assert sum(requests_of(Way.HTTPS, 1).values()) == 10
    assert sum(requests_of(Way.DROP, 1).values()) == pytest.approx(9.2)


def test_requests_grow_linearly_with_the_shards() -> None:
    by_shards = [sum(requests_of(Way.HTTPS, shards).values()) for shards in (2, 3, 4, 5)]
    assert len({after - before for before, after in itertools.pairwise(by_shards)}) == 1


@pytest.mark.parametrize("way", Way)
@pytest.mark.parametrize("shards", [1, 7])
def test_every_request_has_a_price(way: Way, shards: int) -> None:
    prices = listed_prices()
    assert prices.of_requests(requests_of(way, shards)) > 0
    assert prices.of_requests(indirect_requests(way, shards)) > 0


def test_dollars_are_what_the_list_says() -> None:
    prices = listed_prices()
    assert prices.of_requests({"SQS.SendMessage": 1_000_000}) == pytest.approx(0.40)
    assert prices.of_requests({"S3.PutObject": 1_000, "S3.DeleteObject": 9}) == pytest.approx(0.005)
    assert prices.of_requests({"DynamoDB.TransactWriteItems": 1}) == pytest.approx(4 * 0.625e-6)
    assert prices.of_tokens("text-embedding-3-small", 1_000_000) == pytest.approx(0.02)
    assert prices.of_tokens("unknown", 1) is None


def test_the_command_adds_up_and_needs_no_server(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Some words of a file. " * 40)
    (tmp_path / "b.pdf").write_bytes(long_pdf(3))
    result = CliRunner().invoke(app, ["estimate", str(tmp_path), "--model", "text-embedding-3-small", "--json"])
    assert result.exit_code == 0, result.output
    printed = json.loads(result.stdout)
    for name in ("pages", "chunks", "tokens", "requests"):
        assert printed["total"][name] == sum(each[name] for each in printed["files"])
    for part in ("requests", "compute", "embedding"):
        assert printed["total"]["dollars"][part] == pytest.approx(
            sum(each["dollars"][part] for each in printed["files"])
        )
    assert printed["total"]["dollars"]["embedding"] == pytest.approx(printed["total"]["tokens"] * 0.02e-6)
    assert printed["prices"]["noted"]
    assert [each["way"] for each in printed["files"]] == ["https", "https"]


def test_the_command_ends_with_1_where_a_file_would_fail_and_prices_no_unknown_model(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG")
    (tmp_path / "b.txt").write_text("words")
    result = CliRunner().invoke(app, ["estimate", str(tmp_path), "--model", "house-model"])
    assert result.exit_code == 1
    assert "would fail" in result.stdout
    assert "in all: 1" in result.stdout
    assert "no price listed" in result.stdout


def test_the_local_embedder_costs_nothing(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("words")
    result = CliRunner().invoke(app, ["estimate", str(tmp_path), "--json"])
    assert json.loads(result.stdout)["total"]["dollars"]["embedding"] == 0
