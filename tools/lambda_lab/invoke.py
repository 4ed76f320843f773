"""Send every sample event to its function as Lambda runs it, in a stack that has what the event is about."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from penstock.adapters.aws.clients import aws_clients
from penstock.domain.errors import Misconfigured, PenstockError
from penstock.domain.status import Status
from penstock.local.emulator import emulator
from penstock.local.port import free_port
from penstock.local.provision import provision
from penstock.local.template import read_template
from penstock.services import Services
from penstock.settings import Settings
from penstock.wiring import services
from tools.lambda_lab.deploy import WITHOUT_KEY
from tools.lambda_lab.package import Package, package
from tools.lambda_lab.runtime import container, function
from tools.lambda_lab.sample_events import MOMENT, SAMPLES, Sample, documents, shown

_STACK = "penstock"


@dataclass(frozen=True, slots=True)
class Place:
    """The paths that an invocation needs."""

    template: Path
    events: Path
    runtime: Path
    """The virtual environment in which requirements/invoke.txt is installed."""
    emulator_python: Path
    state: Path
    """A folder for the packages, which are kept for the next run, and the logs."""

    @property
    def unpacked(self) -> Path:
        return self.state / "unpacked"


@dataclass(frozen=True, slots=True)
class Invoked:
    """The outcome of a sample event."""

    sample: Sample
    handler: str
    answers: tuple[str, str]
    """The answers to the cold and to the warm invocation, in brief."""
    documents: Mapping[str, Status]
    seconds: tuple[float, float]
    memory: int
    """The peak memory of the function's process, in bytes."""

    @property
    def differs(self) -> str:
        """How the outcome differs from what the sample expects. It is empty if there is no difference."""
        expected = (self.sample.answer, self.sample.again or self.sample.answer)
        if self.answers != expected:
            return f"answered {self.answers}, not {expected}"
        if self.documents != self.sample.leaves:
            return f"left {_listed(self.documents)}, not {_listed(self.sample.leaves)}"
        return ""


def _listed(documents: Mapping[str, Status]) -> str:
    return ", ".join(f"{name} {status}" for name, status in documents.items()) or "nothing"


def invoke(place: Place, sample: Sample, made: Package) -> Invoked:
    """Start the function on an emulator of its own, and send it the event twice.

    The environment variables of this process are set so that they point to the emulator.

    Raises:
        Misconfigured: a part is missing or did not start.
        FunctionFailed: the handler failed.
    """
    event = json.loads((place.events / f"{sample.event}.json").read_bytes())
    run = function(read_template(place.template), sample.function, made, place.unpacked)
    log = place.state / f"{sample.event}.log"
    log.unlink(missing_ok=True)
    with world(place, log) as (environment, own):
        sample.before(replace(own, clock=lambda: MOMENT))
        with container(run, place.runtime, environment, log) as started:
            cold, warm = started.invoke(event), started.invoke(event)
            memory = started.memory()
        left = documents(own)
    return Invoked(
        sample,
        run.handler,
        (shown(cold.content), shown(warm.content)),
        left,
        (cold.seconds, warm.seconds),
        memory,
    )


@contextmanager
def world(place: Place, log: Path) -> Iterator[tuple[Mapping[str, str], Services]]:
    """An empty stack. Yields the environment variables of its functions, and services over the same stack.

    The environment variables of this process are set too.
    """
    with (
        tempfile.TemporaryDirectory(prefix="penstock-invoke-") as index,
        emulator(place.emulator_python, free_port(), log) as running,
    ):
        aws = {
            "AWS_ENDPOINT_URL": running.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        }
        os.environ.update(aws, AWS_REGION="us-east-1")
        chosen = {
            **provision(aws_clients(), place.template, _STACK).environment(),
            "PENSTOCK_INDEX": "sqlite",
            "PENSTOCK_INDEX_PATH": index,
            "PENSTOCK_EMBEDDER": "wordllama",
        }
        os.environ.update(chosen)
        yield {**aws, **chosen}, services(Settings.from_environment())


def packaged(place: Place, platform: Sequence[str] = ()) -> Package:
    """The package that is deployed, with the embedder that needs no provider.

    Args:
        platform: options for pip, if the package is for another machine or Python than this one.

    Raises:
        Misconfigured: the package cannot be built, or an event has no sample.
    """
    unknown = {path.stem for path in place.events.glob("*.json")} ^ {sample.event for sample in SAMPLES}
    if unknown:
        raise Misconfigured(
            why=f"{place.events} and tools.lambda_lab.sample_events differ in {', '.join(sorted(unknown))}."
        )
    made = package(place.template, place.state / "package", platform=platform, instead=WITHOUT_KEY)
    digests = {archive.digest for archive in made.archives.values()}
    for old in place.unpacked.glob("*"):
        if old.name not in digests:
            shutil.rmtree(old)
    return made


def place_of(root: Path) -> Place:
    """The paths in a checkout."""
    return Place(
        template=root / "template.yaml",
        events=root / "events",
        runtime=root / ".venv-invoke",
        emulator_python=root / ".venv-emulator/bin/python",
        state=root / ".penstock/invoke",
    )


def main() -> None:
    """Invoke all samples and print a table. The exit status is 1 if an outcome differs from the expected one."""
    place = place_of(Path.cwd())
    table = Table("event", "handler", "answer", "ms cold", "ms warm", "MB", box=None, header_style="bold")
    for column in table.columns[3:]:
        column.justify = "right"
    wrong = []
    try:
        made = packaged(place)
        for sample in SAMPLES:
            done = invoke(place, sample, made)
            cold, warm = (f"{seconds * 1000:,.0f}" for seconds in done.seconds)
            answer = done.answers[0] if not sample.again else f"{done.answers[0]}, then {done.answers[1]}"
            table.add_row(sample.event, done.handler, answer, cold, warm, f"{done.memory / 1e6:.0f}")
            if done.differs:
                wrong.append(f"{sample.event} {done.differs}")
    except PenstockError as error:
        sys.exit(str(error))
    Console(width=max(140, Console().width)).print(table)
    sys.exit("\n".join(wrong) or None)


if __name__ == "__main__":
    main()
