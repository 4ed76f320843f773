"""Settings of the worker under Celery's names: what reaches Celery, and what is refused."""

from __future__ import annotations

import pytest

from penstock.adapters.aws.clients import aws_clients
from penstock.celery_app.app import make_app
from penstock.domain.errors import BadSetting
from penstock.domain.task import QUEUES, Stage
from penstock.settings import LONGEST_TASK, Settings

QUEUE_URLS = {name: f"http://127.0.0.1/{name}" for name in QUEUES}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    return monkeypatch


def limits(**settings: object) -> dict[str, float | None]:
    """The hard time limit of each stage's task, as Celery has it."""
    app = make_app(Settings(queues=QUEUE_URLS, **settings), lambda: None)  # type: ignore[arg-type, return-value]
    return {stage.value: app.tasks[f"penstock.{stage}"].time_limit for stage in Stage}


def test_tasks_are_limited_to_25_and_30_minutes_by_default() -> None:
    assert limits() == dict.fromkeys(Stage, 1800)
    assert [Settings().soft_time_limit(stage) for stage in Stage] == [1500] * 3


def test_limits_are_one_number_or_one_for_each_stage(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("PENSTOCK_TASK_SOFT_TIME_LIMIT", "600")
    environment.setenv("PENSTOCK_TASK_TIME_LIMIT", '{"extract": 7200}')
    assert limits() == {"extract": 7200, "embed": 1800, "delete": 1800}
    assert [Settings().soft_time_limit(stage) for stage in Stage] == [600] * 3


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("TASK_TIME_LIMIT", "1500", "the soft time limit of extract is not below its hard one"),
        ("TASK_TIME_LIMIT", str(LONGEST_TASK + 1), f"<= {LONGEST_TASK}"),
        ("TASK_SOFT_TIME_LIMIT", "0", ">= 1"),
        ("TASK_SOFT_TIME_LIMIT", '{"extrakt": 60}', "extrakt"),
        ("TASK_PUBLISH_RETRY_POLICY", '{"interval_start": 1}', "interval_start"),
    ],
)
def test_what_makes_no_sense_is_refused(name: str, value: str, why: str, environment: pytest.MonkeyPatch) -> None:
    environment.setenv(f"PENSTOCK_{name}", value)
    with pytest.raises(BadSetting, match=why):
        Settings()


def test_celery_gets_the_settings_of_processes_and_prefetch(environment: pytest.MonkeyPatch) -> None:
    wanted = {
        "worker_concurrency": 3,
        "worker_prefetch_multiplier": 5,
        "worker_max_tasks_per_child": 7,
        "worker_max_memory_per_child": 300_000,
    }
    for name, value in wanted.items():
        environment.setenv(f"PENSTOCK_{name.upper()}", str(value))
    conf = make_app(Settings(queues=QUEUE_URLS), lambda: None).conf  # type: ignore[arg-type, return-value]
    assert {name: conf[name] for name in wanted} == wanted


@pytest.mark.parametrize(("retry", "attempts"), [("true", 6), ("false", 1)])
def test_a_message_is_sent_as_often_as_celery_s_settings_say(
    retry: str, attempts: int, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("PENSTOCK_TASK_PUBLISH_RETRY", retry)
    environment.setenv("PENSTOCK_TASK_PUBLISH_RETRY_POLICY", '{"max_retries": 5}')
    clients = aws_clients(publish_retries=Settings().publish_retries)
    assert clients.sqs.meta.config.retries["total_max_attempts"] == attempts  # type: ignore[attr-defined]
    assert clients.dynamodb.meta.config.retries["total_max_attempts"] == 4  # type: ignore[attr-defined]
