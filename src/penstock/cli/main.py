"""`penstock`: the commands, and the one place where an error becomes a message and an exit code."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.metadata import version as installed
from typing import Any

import typer
from typer.core import TyperGroup

from penstock.cli.add import add
from penstock.cli.dead_letters import dead_letters
from penstock.cli.doctor import doctor
from penstock.cli.drop import drop
from penstock.cli.embedder import app as embedder
from penstock.cli.estimate import estimate
from penstock.cli.exits import EXIT_CODES, CommandError, Exit
from penstock.cli.extract import extract
from penstock.cli.keys import keys
from penstock.cli.list_documents import list_documents
from penstock.cli.retry_cancel import cancel, retry
from penstock.cli.rm import rm
from penstock.cli.search import search
from penstock.cli.serve import beat, serve, worker
from penstock.cli.status import status
from penstock.cli.up import demo, provision, up
from penstock.domain import errors

_DEBUG = "PENSTOCK_DEBUG"


class Program(TyperGroup):
    """Turns errors into messages: a user never sees a traceback, unless PENSTOCK_DEBUG is set."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (CommandError, errors.PenstockError) as error:
            _end(str(error), error.code if isinstance(error, CommandError) else _exit_of(error), error)
        except Exception as error:
            # Typer's own exceptions carry an exit code; a broken pipe means that the reader of the output has gone.
            if hasattr(error, "exit_code") or isinstance(error, typer.Abort | BrokenPipeError):
                raise
            _end(f"{type(error).__name__}: {error}", _exit_of(error), error)


def _exit_of(error: Exception) -> Exit:
    if isinstance(error, errors.BadRequest | errors.BadSetting):
        return Exit.USAGE
    if isinstance(error, errors.Transient | errors.Misconfigured | errors.EmbedderChanged):
        return Exit.UNREACHABLE
    return Exit.FAILED if isinstance(error, errors.Permanent | OSError) else Exit.BUG


def _end(message: str, code: Exit, error: Exception) -> None:
    if os.environ.get(_DEBUG):
        raise error
    if code is Exit.BUG:
        message = f"{message}\nThis is a bug in Penstock. Set {_DEBUG}=1 to see where."
    typer.echo(f"penstock: {message}", err=True)
    raise typer.Exit(code) from error


app = typer.Typer(
    cls=Program,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    epilog=EXIT_CODES,
    help="Documents in, findable and cited by page.\n\nThe commands use the API at PENSTOCK_URL with the key "
    "PENSTOCK_API_KEY. In the folder of a local run (`make run`), they use the API of that run.",
)

_COMMANDS: dict[str, Callable[..., None]] = {
    "add": add,
    "status": status,
    "list": list_documents,
    "search": search,
    "rm": rm,
    "retry": retry,
    "cancel": cancel,
    "doctor": doctor,
    "drop": drop,
    "extract": extract,
    "estimate": estimate,
    "serve": serve,
    "worker": worker,
    "beat": beat,
    "up": up,
    "demo": demo,
    "provision": provision,
}
for name, command in _COMMANDS.items():
    app.command(name, epilog=EXIT_CODES)(command)
app.add_typer(keys, name="keys")
app.add_typer(dead_letters, name="dead-letters")
app.add_typer(embedder, name="embedder")


@app.command()
def version() -> None:
    """Print the version of Penstock."""
    typer.echo(installed("penstock"))


if __name__ == "__main__":
    app()
