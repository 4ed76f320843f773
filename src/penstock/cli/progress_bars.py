"""Bars: what moves while files are uploaded and documents processed, on a terminal's stderr."""

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
from penstock.cli.waiting import ENDED

_ROOM = 40  # characters of a name beside a bar
_MOST = 8  # documents that have a bar at the same time


class _Come(ProgressColumn):
    """How much of how much; of '?' while nobody knows."""

    def render(self, task: Task) -> Text:
        total = "?" if task.total is None else f"{task.total:,.0f}"
        return Text(f"{task.completed:,.0f} of {total} {task.fields['unit']}")


@contextmanager
def bars_of(quiet: bool) -> Iterator[Progress]:
    """Where bars are shown: on a terminal, unless it shall be quiet."""
    console = aside()
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        _Come(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal, transient=True) as bars:
        yield bars


class DocumentBars:
    """A bar that counts the documents at their end, and one for each; of more than fit a screen, for some that move."""

    def __init__(self, bars: Progress, names: Mapping[str, str]) -> None:
        """`names`: of the files, by task."""
        self._bars = bars
        self._names = names
        self._moving: dict[str, TaskID] = {}
        self._ended: set[str] = set()
        self._all = bars.add_task("processing", total=len(names), unit="documents")

    def show(self, task: str, seen: Mapping[str, Any]) -> None:
        """What the API said of this task just now."""
        if seen["state"] in ENDED:
            self._ended.add(task)
            self._bars.update(self._all, completed=len(self._ended))
            if len(self._names) > _MOST:
                if (bar := self._moving.pop(task, None)) is not None:
                    self._bars.remove_task(bar)
                return
        if task not in self._moving:
            if seen["state"] == "PENDING" or len(self._moving) == _MOST:
                return
            self._moving[task] = self._bars.add_task("", total=None, unit="")
        come, words = seen["progress"], f"{seen['document_status'] or 'awaited'} {short(self._names[task])}"
        self._bars.update(
            self._moving[task], description=words, completed=come["current"], total=come["total"], unit=come["unit"]
        )


def short(name: str) -> str:
    """The name, its middle left out where it is long."""
    name = readable(name)
    return name if len(name) <= _ROOM else name[: _ROOM // 2 - 1] + "…" + name[-_ROOM // 2 :]
