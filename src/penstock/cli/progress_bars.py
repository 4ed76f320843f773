"""Progress bars for uploads and for the processing of documents, on the stderr of a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from penstock.cli.printing import aside, readable
from penstock.cli.waiting import FINAL_STATES

_NAME_CHARS = 40
"""The maximum length of a name beside a bar."""
_MAX_BARS = 8
"""The maximum number of documents that have a bar at the same time."""


class _CompletedColumn(ProgressColumn):
    """What is done and the total, such as "3 of 12 pages". The total is '?' while it is not known."""

    def render(self, task: Task) -> Text:
        total = "?" if task.total is None else f"{task.total:,.0f}"
        return Text(f"{task.completed:,.0f} of {total} {task.fields['unit']}")


@contextmanager
def progress_bars(quiet: bool) -> Iterator[Progress]:
    """Show progress bars, but only on a terminal, and only if `quiet` is false."""
    console = aside()
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        _CompletedColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal, transient=True) as bars:
        yield bars


class DocumentBars:
    """One bar that counts the finished documents, and one for each document. If there are many, only some of those that
    are being processed have a bar."""

    def __init__(self, bars: Progress, names: Mapping[str, str]) -> None:
        """`names` has the file's name of each task."""
        self._bars = bars
        self._names = names
        self._shown: dict[str, TaskID] = {}
        self._finished: set[str] = set()
        self._all = bars.add_task("processing", total=len(names), unit="documents")

    def show(self, task: str, state: Mapping[str, Any]) -> None:
        """Update the bars with the state of a task that the API has just returned."""
        if state["state"] in FINAL_STATES:
            self._finished.add(task)
            self._bars.update(self._all, completed=len(self._finished))
            if len(self._names) > _MAX_BARS:
                if (bar := self._shown.pop(task, None)) is not None:
                    self._bars.remove_task(bar)
                return
        if task not in self._shown:
            if state["state"] == "PENDING" or len(self._shown) == _MAX_BARS:
                return
            self._shown[task] = self._bars.add_task("", total=None, unit="")
        progress, label = state["progress"], f"{state['document_status'] or 'awaited'} {shortened(self._names[task])}"
        self._bars.update(
            self._shown[task],
            description=label,
            completed=progress["current"],
            total=progress["total"],
            unit=progress["unit"],
        )


def shortened(name: str) -> str:
    """The name. If it is long, its middle is left out."""
    name = readable(name)
    return name if len(name) <= _NAME_CHARS else name[: _NAME_CHARS // 2 - 1] + "…" + name[-_NAME_CHARS // 2 :]
