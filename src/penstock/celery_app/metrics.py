"""Measured: how long each run of a stage took, and how it ended, as a metric."""

from __future__ import annotations

from time import monotonic

from penstock.domain.task import Message
from penstock.pipeline.run import KeepLease, Outcome, Redeliver, Run
from penstock.services import Services
from penstock.telemetry.logs_and_metrics import measure


def with_metrics(run: Run) -> Run:
    """The same, with a line of metrics after each run."""

    def timed(services: Services, message: Message, keep: KeepLease) -> Outcome:
        began = monotonic()
        outcome = run(services, message, keep)
        ended = "handed_back" if isinstance(outcome, Redeliver) else "done"
        measure("StageSeconds", monotonic() - began, stage=message.stage.value, outcome=ended)
        return outcome

    return timed
