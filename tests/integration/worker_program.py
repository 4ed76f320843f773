"""A worker as a process of its own, whose stages do what the document's id says and keep a journal of it."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from datetime import timedelta
from pathlib import Path

from penstock.pipeline import Done, HandBack
from penstock.settings import Settings
from penstock.worker.app import make_app
from penstock.worker.options import WorkerOptions
from penstock.worker.program import start


class Journal:
    """What ran, in the order in which it did, across processes."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, event: str, document: str) -> None:
        line = json.dumps({"event": event, "document": document, "pid": os.getpid(), "at": time.time()}) + "\n"
        with self._path.open("ab", buffering=0) as file:
            file.write(line.encode())

    def read(self, event: str, document: str) -> list[dict]:
        if not self._path.exists():
            return []
        lines = (json.loads(line) for line in self._path.read_text().splitlines())
        return [line for line in lines if line["event"] == event and line["document"] == document]

    def answer(self, tenant: str, ping: str) -> None:
        self.write("pinged", ping)


def run(journal, message, keep):
    """The id is `verb-argument-anything`."""
    verb, argument, *_ = [*message.document.split("-"), ""]
    journal.write("began", message.document)
    first = len(journal.read("began", message.document)) == 1
    if verb == "sleep":
        time.sleep(float(argument))
    elif verb == "back" and first:
        return HandBack(timedelta(seconds=float(argument)), "asked to")
    elif verb == "die" and first:
        os.kill(os.getpid(), signal.SIGKILL)
    elif verb == "raise" and first:
        raise RuntimeError("a bug")
    journal.write("ended", message.document)
    return Done()


def main(journal_path: str, settings: str, options: str, queues: str) -> int:
    journal = Journal(Path(journal_path))
    journal.pings = journal
    chosen = WorkerOptions(**json.loads(options))
    app = make_app(Settings(**json.loads(settings)), lambda: journal, chosen, run=run)
    return start(app, json.loads(queues), chosen.stop)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
