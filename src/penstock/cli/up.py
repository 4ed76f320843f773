"""`penstock up`, `penstock demo` and `penstock provision`: the local stack, for as long as somebody wants it."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from penstock.cli.local_run import STATE
from penstock.cli.printing import out

if TYPE_CHECKING:
    from types import FrameType

    from penstock.local.stack import StackConfig

_CHECKOUT = Path(__file__).parents[3]
_PAGE = 120
_ENDED_BY = (signal.SIGTERM, signal.SIGHUP)

StateOption = Annotated[Path, typer.Option("--state", help="The folder that keeps what the stack holds.")]


def up(
    state: StateOption = STATE,
    samples: Annotated[bool, typer.Option(help="Put the samples in, and ask for them.")] = True,
) -> None:
    """The whole stack on this machine, until Ctrl-C. Ports: PENSTOCK_API_PORT and PENSTOCK_EMULATOR_PORT."""
    from penstock.local.banner import banner  # noqa: PLC0415 - boto3 and more: not for --help
    from penstock.local.demo import DemoFailed, show_samples  # noqa: PLC0415
    from penstock.local.stack import local_stack  # noqa: PLC0415

    console = _console()
    _end_on_signals()
    try:
        with local_stack(_config(state)) as stack:
            if samples:
                try:
                    show_samples(stack, _CHECKOUT / "samples", console)
                except DemoFailed as error:  # settings that do not take the samples are no reason not to run
                    console.print(f"Without the samples: {error}")
            typer.echo(banner(stack))
            for name in stack.watch():
                console.print(f"The {name} ended, and was started again; see {stack.config.logs / name}.log.")
    except KeyboardInterrupt:
        console.print("Ended. Nothing is running any more.")


def demo(
    state: StateOption = STATE / "demo",
    new_ids: Annotated[bool, typer.Option(help="The same bytes as new documents.")] = False,
) -> None:
    """Samples in through both doors, found again, and everything ended. A second time it pays for nothing."""
    from penstock.local.demo import demo as run_demo  # noqa: PLC0415 - boto3 and more: not for --help
    from penstock.local.stack import local_stack  # noqa: PLC0415

    _end_on_signals()
    with local_stack(_config(state, anywhere=True)) as stack:
        run_demo(stack, _CHECKOUT / "samples", _console(), new_ids=new_ids)


def provision(
    stack: Annotated[str, typer.Option(help="Begins each name.")] = "penstock",
    template: Annotated[Path, typer.Option(help="The definitions.")] = _CHECKOUT / "template.yaml",
) -> None:
    """Make bucket, queues and table on the AWS that AWS_ENDPOINT_URL names, and print the settings that go with them.
    For emulators; in AWS, deploy the template."""
    from penstock.adapters.aws.clients import aws_clients  # noqa: PLC0415 - boto3: not for --help
    from penstock.cli.exits import Exit, Stop  # noqa: PLC0415
    from penstock.local.provision import provision as make  # noqa: PLC0415

    if not os.environ.get("AWS_ENDPOINT_URL"):
        raise Stop("Set AWS_ENDPOINT_URL to the emulator's address. In AWS itself, deploy template.yaml.", Exit.USAGE)
    for name, value in make(aws_clients(), template, stack).environment().items():
        typer.echo(f"{name}='{value}'")


def _config(state: Path, *, anywhere: bool = False) -> StackConfig:
    from penstock.local.port import free_port  # noqa: PLC0415
    from penstock.local.stack import StackConfig  # noqa: PLC0415 - boto3 and more: not for --help
    from penstock.settings import Settings  # noqa: PLC0415

    settings = Settings()
    return StackConfig(
        state=state,
        template=_CHECKOUT / "template.yaml",
        emulator_python=_CHECKOUT / ".venv-emulator" / "bin" / "python",
        api_port=free_port() if anywhere else settings.api_port,
        emulator_port=free_port() if anywhere else settings.emulator_port,
    )


def _console() -> Console:
    """Tables are for reading, so a log gets them in the width of a page."""
    console = out()
    return console if console.is_terminal else Console(highlight=False, width=_PAGE)


def _end_on_signals() -> None:
    """As Ctrl-C would, so that everything that was started is ended however this process is asked to."""

    def end(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    for number in _ENDED_BY:
        signal.signal(number, end)
    signal.signal(signal.SIGINT, end)  # a shell starts what runs in its background with SIGINT ignored
