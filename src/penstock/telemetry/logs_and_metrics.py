"""Logs, and metrics in the embedded metric format, as CloudWatch reads them: one JSON object per line."""

from __future__ import annotations

import logging
import sys
from typing import TextIO

from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter
from aws_lambda_powertools.metrics import MetricUnit, single_metric

from penstock.telemetry.context import Context, facts

NAMESPACE = "Penstock"


def log_json(stream: TextIO = sys.stdout) -> None:
    """Make every logger of this process write JSON, instead of what was set up before."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LambdaPowertoolsFormatter(service="penstock", use_rfc3339=True, utc=True))
    handler.addFilter(Context())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    for name in ("botocore", "boto3", "celery"):
        logging.getLogger(name).setLevel(logging.WARNING)


def measure(name: str, seconds: float, **dimensions: str) -> None:
    """Write a line of metrics: this duration with these dimensions, and the facts that log lines carry now."""
    with single_metric(
        name=name, unit=MetricUnit.Seconds, value=seconds, namespace=NAMESPACE, default_dimensions=dimensions
    ) as metric:
        for fact, value in facts().items():
            metric.add_metadata(fact, value)
