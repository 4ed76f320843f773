"""A metric for each run of a stage: how long it took, and how it ended."""

from __future__ import annotations

from time import monotonic

from penstock.domain.task import Message
from penstock.pipeline.run import KeepLease, Outcome, Redeliver, Run
from penstock.services import Services
from penstock.telemetry.logs_and_metrics import measure


def with_metrics(run: Run) -> Run:
    """Wrap `run` so that each run writes a line of metrics."""

    def timed(services: Services, message: Message, keep: KeepLease) -> Outcome:
        started = monotonic()
        outcome = run(services, message, keep)
        name = "handed_back" if isinstance(outcome, Redeliver) else "done"
        measure("StageSeconds", monotonic() - started, stage=message.stage.value, outcome=name)
        return outcome

    return timed
