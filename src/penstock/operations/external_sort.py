"""Spill: sort more lines than memory shall hold, by way of the disk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from heapq import merge
from itertools import count, islice
from pathlib import Path
from tempfile import TemporaryDirectory

RUN = 50_000
"""Lines that are held in memory: some 10 MB of them."""
_AT_ONCE = 64
"""Files that are merged at once: a process may not have many more open."""


@contextmanager
def sorted_on_disk(lines: Iterable[str], *, run: int = RUN) -> Iterator[Iterator[str]]:
    """These lines, none of which has a line break, in order. What lies on the disk goes with the context."""
    with TemporaryDirectory(prefix="penstock-") as folder:
        names = (Path(folder) / str(number) for number in count())
        waiting = iter(lines)
        runs: list[Path] = []
        while held := sorted(islice(waiting, run)):
            runs.append(_written(next(names), held))
            del held
            if len(runs) == _AT_ONCE:
                runs = [_merged(next(names), runs)]
        with ExitStack() as opened:
            yield (line.rstrip("\n") for line in merge(*_opened(opened, runs)))


def _merged(path: Path, runs: list[Path]) -> Path:
    with ExitStack() as opened:
        _written(path, (line.rstrip("\n") for line in merge(*_opened(opened, runs))))
    for each in runs:
        each.unlink()
    return path


def _opened(opened: ExitStack, runs: list[Path]) -> list[Iterator[str]]:
    return [iter(opened.enter_context(each.open(encoding="utf-8", newline="\n"))) for each in runs]


def _written(path: Path, lines: Iterable[str]) -> Path:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{line}\n" for line in lines)
    return path
