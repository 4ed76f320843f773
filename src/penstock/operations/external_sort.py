"""External sort: sort more lines than fit in memory, by merging sorted files on disk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from heapq import merge
from itertools import count, islice
from pathlib import Path
from tempfile import TemporaryDirectory

RUN = 50_000
"""The number of lines that are held in memory while they are sorted: about 10 MB."""
_AT_ONCE = 64
"""The number of files that are merged at once: a process cannot open many more."""


@contextmanager
def sorted_on_disk(lines: Iterable[str], *, run: int = RUN) -> Iterator[Iterator[str]]:
    """The lines in order; none of them may contain a line break. The files on disk are removed with the context."""
    with TemporaryDirectory(prefix="penstock-") as folder:
        names = (Path(folder) / str(number) for number in count())
        unsorted = iter(lines)
        runs: list[Path] = []
        while in_memory := sorted(islice(unsorted, run)):
            runs.append(_written(next(names), in_memory))
            del in_memory
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
