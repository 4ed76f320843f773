"""The Celery app of the worker and of the Lambda consumer. It is made by a call, not at import (I9)."""

from __future__ import annotations

import os
from collections.abc import Callable

from celery import Celery
from kombu import Queue

from penstock.celery_app.options import WorkerOptions
from penstock.celery_app.tasks import OnePerProcess, register
from penstock.domain.task import Lane, Stage, queue_name
from penstock.pipeline.run import Run, run
from penstock.services import Services
from penstock.settings import Settings

_HEARTBEAT = "penstock.worker.visibility:HeartbeatStep"
"""Celery imports this step only for a consumer: a Lambda function has none, and need not import it."""


def make_app(
    settings: Settings, services: Callable[[], Services], options: WorkerOptions | None = None, run: Run = run
) -> Celery:
    """Make the app, whose worker consumes the stage queues.

    Args:
        settings: the settings.
        services: a function that is called once in each pool process.
        options: how the worker talks to SQS.
        run: the function that runs a stage.
    """
    app = Celery("penstock", set_as_current=False)
    app.conf.update(_configuration(settings, options or WorkerOptions()))
    app.steps["consumer"].add(_HEARTBEAT)
    register(app, OnePerProcess(services), run, settings.time_limit)
    return app


def _configuration(settings: Settings, options: WorkerOptions) -> dict[str, object]:
    return {
        "broker_url": "sqs://",
        "broker_transport": "penstock.worker.transport:Transport",
        "broker_connection_retry_on_startup": True,
        "broker_transport_options": {
            "predefined_queues": {name: {"url": url} for name, url in settings.queues.items()},
            "polling_interval": 0 if options.wait else options.pause,  # a long poll waits long enough
            "wait_time_seconds": options.wait,
            "body_encoding": None,  # beat too sends plain JSON
            "sqs_base64_encoding": False,
            "region": os.environ.get("AWS_REGION"),  # boto3 itself reads AWS_DEFAULT_REGION only
            "client-config": {
                "connect_timeout": options.answer_timeout,
                "read_timeout": options.answer_timeout,
                "retries": {"mode": "standard", "total_max_attempts": 2},
            },
            "visibility": settings.visibility_seconds,
            "answer_timeout": options.answer_timeout,
            "pause": options.pause,
            "dead_letters": {
                queue_name(stage, lane): settings.dead_letters[stage]
                for stage in Stage
                for lane in Lane
                if stage in settings.dead_letters
            },
        },
        "task_queues": [Queue(name, exchange="", routing_key=name) for name in settings.queues],
        "task_create_missing_queues": False,
        "task_ignore_result": True,
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_acks_late": True,
        "task_acks_on_failure_or_timeout": False,
        "task_reject_on_worker_lost": True,
        "worker_pool": "prefork",
        "worker_concurrency": settings.worker_concurrency,
        "worker_prefetch_multiplier": settings.worker_prefetch_multiplier,
        "worker_max_tasks_per_child": settings.worker_max_tasks_per_child,
        "worker_max_memory_per_child": settings.worker_max_memory_per_child,
        "worker_proc_alive_timeout": 30,
        "worker_enable_remote_control": False,
        "worker_send_task_events": False,
        "worker_redirect_stdouts": False,
    }
