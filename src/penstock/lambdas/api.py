"""The API in Lambda, behind an HTTP API of API Gateway (payload format 2.0)."""

from __future__ import annotations

from penstock.lambdas.cold_start import per_container

# isort: split

from time import monotonic
from typing import Any

from mangum import Mangum

from penstock.api.app import create_app
from penstock.lambdas.batch import Event, LambdaContext
from penstock.settings import Settings
from penstock.telemetry.context import log_context
from penstock.telemetry.logs_and_metrics import log_json, measure
from penstock.wiring import services

TEXT = ["text/", "application/json", "application/problem+json"]
"""The media types of bodies that are sent as text. All others are sent as Base64."""


@per_container
def gateway() -> Mangum:
    log_json()
    settings = Settings.from_environment()
    app = create_app(lambda: services(settings), settings)
    return Mangum(app, lifespan="off", text_mime_types=TEXT)


def handler(event: Event, context: LambdaContext) -> dict[str, Any]:
    with log_context(request=context.aws_request_id):
        started = monotonic()
        # Mangum's own types are narrower than Lambda's.
        answer = gateway()(dict(event), context)  # type: ignore[arg-type]
        measure("RequestSeconds", monotonic() - started, status=f"{answer['statusCode'] // 100}xx")
        return answer
