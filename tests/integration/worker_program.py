"""A worker as a process of its own, whose stages do what the document's id says and record it in a journal."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from penstock.celery_app.app import make_app
from penstock.celery_app.options import WorkerOptions
from penstock.domain.errors import Interrupted
from penstock.pipeline.run import Done, Redeliver
from penstock.services import StopRequest, no_stop_request
from penstock.settings import Settings
from penstock.worker.process import start
from penstock.worker.shutdown import with_time_limits


@dataclass
class Journal:
    """The tasks that ran, in order, across all processes. It takes the place of the services."""

    path: Path
    stop_request: Callable[[], StopRequest | None] = no_stop_request

    @property
    def pings(self) -> Journal:
        return self

    def write(self, event: str, document: str) -> None:
        line = json.dumps({"event": event, "document": document, "pid": os.getpid(), "at": time.time()}) + "\n"
        with self.path.open("ab", buffering=0) as file:
            file.write(line.encode())

    def read(self, event: str, document: str) -> list[dict]:
        if not self.path.exists():
            return []
        lines = (json.loads(line) for line in self.path.read_text().splitlines())
        return [line for line in lines if line["event"] == event and line["document"] == document]

    def answer(self, tenant: str, ping: str) -> None:
        self.write("pinged", ping)


def run(journal, message, keep):
    """Run the stage as the document's id says, which is `verb-argument-anything`."""
    verb, argument, *_ = [*message.document.split("-"), ""]
    journal.write("began", message.document)
    first = len(journal.read("began", message.document)) == 1
    if verb == "sleep":
        time.sleep(float(argument))
    elif verb == "steps" and first:  # it checks again and again whether to continue
        while (stop_request := journal.stop_request()) is None:
            time.sleep(0.02)
        journal.write("halted" if stop_request.limit is None else "limited", message.document)
        return Redeliver(timedelta(0), "halted")
    elif verb == "deaf" and first:  # only an interruption or a kill ends it
        try:
            with keep(journal, None):
                time.sleep(600)
        except Interrupted:
            journal.write("interrupted", message.document)
            return Redeliver(timedelta(0), "interrupted")
    elif verb == "back" and first:
        return Redeliver(timedelta(seconds=float(argument)), "asked to")
    elif verb == "die" and first:
        os.kill(os.getpid(), signal.SIGKILL)
    elif verb == "raise" and first:
        raise RuntimeError("a bug")
    journal.write("ended", message.document)
    return Done()


def unkept(run):
    """There is no lease to renew."""
    return lambda services, message, keep: run(services, message, lambda services, claim: nullcontext())


def main(journal_path: str, settings: str, options: str, queues: str) -> int:
    journal = Journal(Path(journal_path))
    chosen = WorkerOptions(**json.loads(options))
    given = Settings.from_environment(**json.loads(settings))
    work = with_time_limits(run, given.soft_time_limit, chosen.stop)
    app = make_app(given, lambda: journal, chosen, run=unkept(work))
    return start(app, json.loads(queues), chosen.stop)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
