"""Run the fault suite: every case, and the promises that must hold after each. Then print the table of results.

python -m tests.faults.run [--seed N] [--only WORDS] [--table FILE]
"""

from __future__ import annotations

import argparse
import random
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from tests.faults.case import ALONE, Case, Result, run_case
from tests.faults.cases import CASES, GROUPS, Group
from tests.faults.proof import prove_rest
from tests.faults.stack import Stack, running


@dataclass
class Outcome:
    """The outcome of a group: the results of its cases, and of the check when all have ended."""

    group: Group
    results: list[Result] = field(default_factory=list)
    rest: str = ""
    failed: bool = False
    seconds: float = 0.0


def run_group(group: Group, cases: Sequence[Case], seed: int, folder: Path) -> Outcome:
    """Run all cases of a group on one stack. They run side by side, except those that take turns."""
    outcome, began = Outcome(group), time.monotonic()
    chance = random.Random(f"{seed} {group.name}")
    turns = {turn: Lock() for case in cases for turn in case.turns}

    def one(case: Case) -> Result:
        with ExitStack() as taken:
            for turn in sorted(case.turns):
                taken.enter_context(turns[turn])
            result = run_case(case, stack, seed)
        tell(result)
        return result

    try:
        with running(folder, chance, programs=group.programs, **group.settings) as stack:
            with ThreadPoolExecutor(group.at_once) as pool:
                outcome.results += pool.map(one, _mixed([case for case in cases if case.turns != ALONE]))
            # In this thread, because a process that a thread starts, as a restart does, ends with the thread.
            outcome.results += map(one, [case for case in cases if case.turns == ALONE])
            outcome.rest = f"{prove_rest(stack)}; {_ended(stack, outcome.results)}"
    except Exception as error:  # noqa: BLE001 - it is reported with the group
        outcome.rest, outcome.failed = f"{type(error).__name__}: {error}", True
    outcome.seconds = time.monotonic() - began
    word = "FAILED" if outcome.failed else "ok"
    print(f"{word}  {group.name}, {outcome.seconds:.0f} s: {outcome.rest}", flush=True)
    return outcome


def _mixed(cases: Sequence[Case]) -> list[Case]:
    """The cases in the order in which they start: first those that take turns, alternating between turns, so that they
    do not block the pool."""
    by_turn: dict[tuple[str, ...], list[Case]] = {}
    for case in cases:
        by_turn.setdefault(case.turns, []).append(case)
    mixed: list[Case] = []
    while any(by_turn.values()):
        mixed += [waiting.pop(0) for waiting in by_turn.values() if waiting]
    return mixed


def _ended(stack: Stack, results: Sequence[Result]) -> str:
    """Check that no process ended by itself.

    Raises:
        AssertionError: a process ended that nobody killed.
    """
    killed = sum(result.killed for result in results)
    assert stack.ends() <= killed, f"processes ended by themselves: {stack.ends()} ended, {killed} were killed"
    return f"{stack.ends()} processes killed and started again"


def chosen(only: str) -> Iterator[tuple[Group, list[Case]]]:
    """The cases whose name or group has these words, by group."""
    for group in GROUPS:
        cases = [case for case in CASES if case.group == group.name and only in f"{case.group} {case.name}"]
        if cases:
            yield group, cases


def write_table(outcomes: Sequence[Outcome], seed: int, seconds: float) -> str:
    number, minutes = sum(len(each.results) for each in outcomes), seconds / 60
    lines = [
        "# What was done to Penstock, and what came of it",
        "",
        f"Written by `make faults SEED={seed}`: {number} cases in {minutes:.0f} minutes.",
        "",
        *_ABOUT,
    ]
    for outcome in outcomes:
        lines += ["", f"## {outcome.group.name}", "", f"After all: {outcome.rest}.", ""]
        lines += ["| case | what was done | what was seen | s |", "|---|---|---|---|"]
        lines += [
            f"| {_cell(each.case.name)} | {_cell(each.done)} | {_verdict(each)} | {each.seconds:.0f} |"
            for each in outcome.results
        ]
    return "\n".join(lines) + "\n"


_ABOUT = """\
Real parts: the AWS emulator, Celery workers, the Lambda consumer (three containers), the poller of the drop folder,
beat, the API, an OpenAI-compatible provider, an index in SQLite; between each process and each service stands a proxy
that does the faults. Every case has a document of its own, and proves by a count that its fault was done. After each:
the document is final, with a reason where it failed; its chunks are those of a run without faults, none missing,
doubled or stale; its receipt is what the index holds; no text was paid for twice, beyond the batches in flight; no
lease lives. After each group: all queues are empty, the doctor finds nothing, and no process ended that nobody killed.

The index is embedded in its users' processes: there is no connection to it that a proxy could break. What stands for a
500 are writes refused for want of room; for slowness and silence, a write lock held by another process, for less and
for more than a writer waits; for a reset before and after the effect, SIGKILL of the writing process after the provider
answered and before the next write to the table. Garbage in its file is no passing fault, and is left out.

A clock an hour off is that of the whole process. The emulator takes its requests; AWS itself refuses a signature by a
clock that is minutes off, so there such a process would do nothing at all until its clock is right.
""".strip().splitlines()


def _verdict(result: Result) -> str:
    return f"**failed**: {_cell(result.seen)}" if result.failed else _cell(result.seen)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


_BESIDE = 3
"""The maximum number of groups that run beside the others."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10_000))
    parser.add_argument("--only", default="", help="cases whose group and name have these words")
    parser.add_argument("--table", type=Path, help="where the table goes")
    asked = parser.parse_args(arguments)
    print(f"seed {asked.seed}: to do the same again, make faults SEED={asked.seed}", flush=True)
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="penstock-faults-"))
    groups = list(chosen(asked.only))
    with ThreadPoolExecutor(_BESIDE) as pool:
        beside = {
            group.name: pool.submit(run_group, group, cases, asked.seed, folder / group.name)
            for group, cases in groups
            if group.beside
        }
        alone = {
            group.name: run_group(group, cases, asked.seed, folder / group.name)
            for group, cases in groups
            if not group.beside
        }
        outcomes = [alone.get(group.name) or beside[group.name].result() for group, _ in groups]
    failed = [each for outcome in outcomes for each in outcome.results if each.failed]
    broken = bool(failed) or any(outcome.failed for outcome in outcomes)
    seconds = time.monotonic() - began
    if asked.table:
        asked.table.write_text(write_table(outcomes, asked.seed, seconds))
    print(
        f"{sum(len(each.results) for each in outcomes)} cases, {len(failed)} failed, {seconds:.0f} s, seed {asked.seed}"
    )
    if broken:
        print(f"logs are kept in {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return int(broken)


def tell(result: Result) -> None:
    print(
        f"{'FAILED' if result.failed else 'ok'}  {result.case.group}: {result.case.name}, {result.seconds:.0f} s: "
        f"{result.done} -> {result.seen}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
