"""`penstock serve`, `penstock worker` and `penstock beat`: the processes, configured by the environment."""

from __future__ import annotations

from typing import Annotated

import typer

from penstock.cli.exits import Exit, Stop
from penstock.cli.local_run import load_environment
from penstock.domain.task import Lane


def serve(
    host: Annotated[str | None, typer.Option(help="Where to listen; PENSTOCK_API_HOST.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="PENSTOCK_API_PORT.")] = None,
) -> None:
    """The API, until SIGINT or SIGTERM. In the folder of a local run, of its settings."""
    load_environment()
    from penstock.api.main import run_api  # noqa: PLC0415 - FastAPI and boto3: not for --help
    from penstock.settings import Settings  # noqa: PLC0415
    from penstock.wiring import services  # noqa: PLC0415

    settings = Settings.from_environment()
    run_api(settings, lambda: services(settings), host or settings.api_host, port or settings.api_port)


def worker(
    lanes: Annotated[str, typer.Option(help=f"Which to work on, separated by commas: {', '.join(Lane)}.")] = ",".join(
        Lane
    ),
) -> None:
    """A Celery worker, until SIGINT or SIGTERM; then running tasks finish or hand back. In the folder of a local run,
    of its settings: PENSTOCK_WORKER_CONCURRENCY, PENSTOCK_TASK_TIME_LIMIT and others, under Celery's names."""
    chosen = [_lane(name.strip()) for name in lanes.split(",")]
    load_environment()
    from penstock.settings import Settings  # noqa: PLC0415 - Celery and boto3: not for --help
    from penstock.worker.main import run_worker  # noqa: PLC0415

    run_worker(Settings.from_environment(), list(dict.fromkeys(chosen)))


def beat() -> None:
    """Asks the workers for a sweep every PENSTOCK_SWEEP_SECONDS, until SIGINT or SIGTERM: what was lost is sent again.
    One for all workers; none where the template's functions run."""
    load_environment()
    from penstock.settings import Settings  # noqa: PLC0415 - Celery and boto3: not for --help
    from penstock.worker.beat import run_beat  # noqa: PLC0415

    run_beat(Settings.from_environment())


def _lane(name: str) -> Lane:
    try:
        return Lane(name)
    except ValueError:
        raise Stop(f"{name!r} is no lane; there are {', '.join(Lane)}.", Exit.USAGE) from None
