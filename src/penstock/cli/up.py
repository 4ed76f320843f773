"""`penstock up`, `penstock demo` and `penstock provision`: the local stack, and resources on an emulator of AWS."""

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
_LOG_COLUMNS = 120
_END_SIGNALS = (signal.SIGTERM, signal.SIGHUP)

StateOption = Annotated[Path, typer.Option("--state", help="The folder that keeps the content of the stack.")]


def up(
    state: StateOption = STATE,
    samples: Annotated[bool, typer.Option(help="Add the sample documents, and search for them.")] = True,
) -> None:
    """Run the whole stack on this machine until Ctrl-C.

    The ports are PENSTOCK_API_PORT and PENSTOCK_EMULATOR_PORT.
    """
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
                except DemoFailed as error:  # settings that do not suit the samples must not stop the stack
                    console.print(f"The samples were not added: {error}")
            typer.echo(banner(stack))
            for name in stack.watch():
                console.print(f"The {name} ended and was started again. Its log is {stack.config.logs / name}.log.")
    except KeyboardInterrupt:
        console.print("The stack has ended. None of its processes is running any more.")


def demo(
    state: StateOption = STATE / "demo",
    new_ids: Annotated[
        bool, typer.Option(help="Add the samples as new documents, even if they were added before.")
    ] = False,
) -> None:
    """Start the stack, add the samples by HTTPS and by the drop folder, search for them, and end the stack.

    A second run embeds nothing again.
    """
    from penstock.local.demo import demo as run_demo  # noqa: PLC0415 - boto3 and more: not for --help
    from penstock.local.stack import local_stack  # noqa: PLC0415

    _end_on_signals()
    with local_stack(_config(state, free_ports=True)) as stack:
        run_demo(stack, _CHECKOUT / "samples", _console(), new_ids=new_ids)


def provision(
    stack: Annotated[
        str, typer.Option(help="The name of the stack, with which each resource's name begins.")
    ] = "penstock",
    template: Annotated[Path, typer.Option(help="The template that defines the resources.")] = _CHECKOUT
    / "template.yaml",
) -> None:
    """Create the bucket, the queues and the table on the emulator at AWS_ENDPOINT_URL, and print their settings.

    This is for emulators of AWS. In AWS itself, deploy the template.
    """
    from penstock.adapters.aws.clients import aws_clients  # noqa: PLC0415 - boto3: not for --help
    from penstock.cli.exits import CommandError, Exit  # noqa: PLC0415
    from penstock.local.provision import provision as create_resources  # noqa: PLC0415

    if not os.environ.get("AWS_ENDPOINT_URL"):
        raise CommandError(
            "AWS_ENDPOINT_URL is not set. Set it to the emulator's address. In AWS itself, deploy template.yaml.",
            Exit.USAGE,
        )
    for name, value in create_resources(aws_clients(), template, stack).environment().items():
        typer.echo(f"{name}='{value}'")


def _config(state: Path, *, free_ports: bool = False) -> StackConfig:
    from penstock.local.port import free_port  # noqa: PLC0415
    from penstock.local.stack import StackConfig  # noqa: PLC0415 - boto3 and more: not for --help
    from penstock.settings import Settings  # noqa: PLC0415

    settings = Settings.from_environment()
    return StackConfig(
        state=state,
        template=_CHECKOUT / "template.yaml",
        emulator_python=_CHECKOUT / ".venv-emulator" / "bin" / "python",
        api_port=free_port() if free_ports else settings.api_port,
        emulator_port=free_port() if free_ports else settings.emulator_port,
    )


def _console() -> Console:
    """A console whose tables are readable in a log too: without a terminal it is as wide as a page."""
    console = out()
    return console if console.is_terminal else Console(highlight=False, width=_LOG_COLUMNS)


def _end_on_signals() -> None:
    """Make these signals act like Ctrl-C, so that every process that was started is ended."""

    def end(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    for number in _END_SIGNALS:
        signal.signal(number, end)
    signal.signal(signal.SIGINT, end)  # a shell starts background processes with SIGINT ignored
