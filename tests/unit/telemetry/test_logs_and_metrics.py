"""Logs and metrics: the content of each line."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import timedelta
from io import StringIO

import pytest

from penstock.celery_app.app import make_app
from penstock.celery_app.metrics import with_metrics
from penstock.celery_app.request import RedeliverAfter
from penstock.domain.errors import Transient
from penstock.domain.task import QUEUES
from penstock.pipeline.run import Done, Redeliver, run
from penstock.settings import Settings
from penstock.telemetry.context import add_log_context, log_context
from penstock.telemetry.logs_and_metrics import log_json
from tests.support.world import World

SETTINGS = Settings(queues={name: f"http://127.0.0.1/{name}" for name in QUEUES})


@pytest.fixture
def lines() -> Iterator[StringIO]:
    """The lines that are logged. The root logger is restored afterwards."""
    root, quiet = logging.getLogger(), ("botocore", "boto3", "celery")
    handlers, level = root.handlers, root.level
    levels = {name: logging.getLogger(name).level for name in quiet}
    stream = StringIO()
    log_json(stream)
    yield stream
    root.handlers, root.level = handlers, level
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


def logged(stream: StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_every_line_of_a_task_says_what_it_is_about(lines: StringIO) -> None:
    world = World()
    received = world.upload("The weir was opened in spring.")
    message = world.take()

    def down(*_: object) -> None:
        raise Transient(why="the index is down")

    def retried(services: object, message: object, keep: object) -> object:
        return run(world.services, message, lambda services, claim: nullcontext())  # type: ignore[arg-type]

    world.objects.get = down  # type: ignore[assignment]
    app = make_app(SETTINGS, lambda: world.services, run=retried)  # type: ignore[arg-type]
    with pytest.raises(RedeliverAfter):
        app.tasks["penstock.extract"](**message.arguments())
    ids = {"stage": "extract", "tenant": "acme", "document": received.document.id, "attempt": 1}
    found = logged(lines)
    assert len(found) == 2
    for line in found:
        assert line.items() >= (ids | {"generation": received.document.generation}).items()
        assert {"level", "message", "timestamp", "service"} <= line.keys()


def test_facts_are_logged_only_while_the_work_lasts(lines: StringIO) -> None:
    with log_context(tenant="acme"):
        add_log_context(attempt=2)
        logging.getLogger("any").info("within")
    add_log_context(attempt=3)
    logging.getLogger("any").info("after")
    within, after = logged(lines)
    assert (within["tenant"], within["attempt"]) == ("acme", 2)
    assert not {"tenant", "attempt"} & after.keys()


@pytest.mark.parametrize(("outcome", "name"), [(Done(), "done"), (Redeliver(timedelta(0), "why"), "handed_back")])
def test_each_run_is_a_metric_of_its_stage(
    outcome: Done | Redeliver, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    world = World()
    world.upload("The weir was opened in spring.")
    timed = with_metrics(lambda services, message, keep: outcome)
    with log_context(tenant="acme", attempt=1):
        assert timed(world.services, world.take(), lambda services, claim: nullcontext()) == outcome
    (line,) = capsys.readouterr().out.splitlines()
    metric = json.loads(line)
    (directive,) = metric["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "Penstock"
    assert directive["Metrics"] == [{"Name": "StageSeconds", "Unit": "Seconds"}]
    assert sorted(directive["Dimensions"][0]) == ["outcome", "stage"]
    assert (metric["stage"], metric["outcome"], metric["tenant"], metric["attempt"]) == ("extract", name, "acme", 1)
