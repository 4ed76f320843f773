"""`penstock serve`, `penstock worker` and `penstock beat`: the server processes, configured by the environment."""

from __future__ import annotations

from typing import Annotated

import typer

from penstock.cli.exits import CommandError, Exit
from penstock.cli.local_run import load_environment
from penstock.domain.task import Lane


def serve(
    host: Annotated[
        str | None, typer.Option(help="The address to listen on. The default is PENSTOCK_API_HOST.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="The port to listen on. The default is PENSTOCK_API_PORT.")
    ] = None,
) -> None:
    """Run the API until SIGINT or SIGTERM. In the folder of a local run, it uses the settings of that run."""
    load_environment()
    from penstock.api.main import run_api  # noqa: PLC0415 - FastAPI and boto3: not for --help
    from penstock.settings import Settings  # noqa: PLC0415
    from penstock.wiring import services  # noqa: PLC0415

    settings = Settings.from_environment()
    run_api(settings, lambda: services(settings), host or settings.api_host, port or settings.api_port)


def worker(
    lanes: Annotated[
        str, typer.Option(help=f"The lanes to work on, separated by commas: {', '.join(Lane)}.")
    ] = ",".join(Lane),
) -> None:
    """Run a Celery worker until SIGINT or SIGTERM. Then running tasks finish, or are given back to their queue.

    Celery's settings are named PENSTOCK_WORKER_CONCURRENCY, PENSTOCK_TASK_TIME_LIMIT and so on. In the folder of a
    local run, it uses the settings of that run.
    """
    chosen = [_lane(name.strip()) for name in lanes.split(",")]
    load_environment()
    from penstock.settings import Settings  # noqa: PLC0415 - Celery and boto3: not for --help
    from penstock.worker.main import run_worker  # noqa: PLC0415

    run_worker(Settings.from_environment(), list(dict.fromkeys(chosen)))


def beat() -> None:
    """Ask the workers for a sweep every PENSTOCK_SWEEP_SECONDS, until SIGINT or SIGTERM.

    A sweep finds documents whose message was lost, and sends it again. Run one such process for all workers, and none
    if the Lambda functions of the template are deployed: they have a schedule of their own.
    """
    load_environment()
    from penstock.settings import Settings  # noqa: PLC0415 - Celery and boto3: not for --help
    from penstock.worker.beat import run_beat  # noqa: PLC0415

    run_beat(Settings.from_environment())


def _lane(name: str) -> Lane:
    try:
        return Lane(name)
    except ValueError:
        raise CommandError(f"{name!r} is not a lane. The lanes are {', '.join(Lane)}.", Exit.USAGE) from None
